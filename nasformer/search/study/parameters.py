"""Parameters: the canonical encoding of architectures as Optuna trials, in all searches.

Network dimensions by name, layer dimensions as ``num_heads.L`` per layer L, all categorical.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from nasformer.architecture import Architecture
from nasformer.space import SearchSpace


def as_parameters(architecture: Architecture) -> dict[str, float]:
    """Return the canonical parameters of an architecture.

    >>> as_parameters(Architecture(64, (2,), (3.0,)))
    {'embed_dim': 64, 'depth': 1, 'num_heads.0': 2, 'mlp_ratio.0': 3.0}
    """
    parameters: dict[str, float] = {}
    for name, value in architecture.to_dict().items():
        layers = enumerate(value) if isinstance(value, list) else ()
        parameters |= {f"{name}.{layer}": each for layer, each in layers} if layers else {name: value}
    return parameters


def as_architecture(parameters: Mapping[str, Any]) -> Architecture:
    """Return the architecture of canonical parameters.

    >>> architecture = Architecture(64, (2, 3), (3.0, 4.0), patch_size=8)
    >>> as_architecture(as_parameters(architecture)) == architecture
    True
    """
    network = {name: value for name, value in parameters.items() if "." not in name}
    depth, choices = network.pop("depth"), dict[str, Any](network)
    for name in {name.partition(".")[0] for name in parameters if "." in name}:
        choices[name] = [parameters[f"{name}.{layer}"] for layer in range(depth)]
    return Architecture(**choices)


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return the canonical distributions of all parameters of a space."""
    names = as_parameters(space.largest)
    return {name: CategoricalDistribution(getattr(space, name.partition(".")[0]).values) for name in names}
