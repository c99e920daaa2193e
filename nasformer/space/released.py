"""The subnets that AutoFormer's authors released, by space.

Chen et al., ICCV 2021; from the RETRAIN sections of the official configurations.
AutoFormer-T has layers of MLP ratio 3, which its published space lacks: the subnets run in the supernet,
but need not be members of the space.
"""

from __future__ import annotations

from nasformer.architecture import Architecture
from nasformer.errors import ArchitectureError, did_you_mean

_RELEASED = {
    "autoformer-tiny": Architecture(
        embed_dim=192,
        num_heads=(3,) * 10 + (4, 3, 3),
        mlp_ratio=(3.5, 3.5, 3, 3.5, 3, 3, 4, 4, 3.5, 4, 3.5, 4, 3.5),
    ),
    "autoformer-small": Architecture(
        embed_dim=384,
        num_heads=(6, 6, 5, 7, 5, 5, 5, 6, 6, 7, 7, 6, 7),
        mlp_ratio=(3, 3.5, 3, 3.5, 4, 4, 4, 4, 4, 4, 4, 3.5, 4),
    ),
    "autoformer-base": Architecture(
        embed_dim=576,
        num_heads=(9, 9, 9, 9, 9, 10, 9, 9, 10, 9, 10, 9, 9, 10),
        mlp_ratio=(3.5, 3.5, 4, 3.5, 4, 3.5, 3.5, 3, 4, 4, 3, 4, 3, 3.5),
    ),
}


def released(name: str) -> Architecture:
    """Return the subnet that AutoFormer's authors released for one of their spaces.

    Args:
        name: ``autoformer-tiny``, ``autoformer-small`` or ``autoformer-base``.

    Raises:
        ArchitectureError: An unknown name.

    >>> from nasformer.space import load_space
    >>> load_space("autoformer-tiny").params(released("autoformer-tiny"))
    5867944
    """
    if name not in _RELEASED:
        raise ArchitectureError(f"no released subnet {name!r}; {did_you_mean(name, _RELEASED)}", name)
    return _RELEASED[name]
