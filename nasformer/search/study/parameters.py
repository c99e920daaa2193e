"""Parameters: the one way in which an architecture of any search is written as an Optuna trial.

``embed_dim``, ``depth``, and ``num_heads.L`` and ``mlp_ratio.L`` of each layer L, all categorical.
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
    layers = range(architecture.depth)
    return {
        "embed_dim": architecture.embed_dim,
        "depth": architecture.depth,
        **{f"num_heads.{layer}": architecture.num_heads[layer] for layer in layers},
        **{f"mlp_ratio.{layer}": architecture.mlp_ratio[layer] for layer in layers},
    }


def as_architecture(parameters: Mapping[str, Any]) -> Architecture:
    """Return the architecture of canonical parameters.

    >>> architecture = Architecture(64, (2, 3), (3.0, 4.0))
    >>> as_architecture(as_parameters(architecture)) == architecture
    True
    """
    layers = range(parameters["depth"])
    heads = tuple(parameters[f"num_heads.{layer}"] for layer in layers)
    return Architecture(parameters["embed_dim"], heads, tuple(parameters[f"mlp_ratio.{layer}"] for layer in layers))


def distributions(space: SearchSpace) -> dict[str, BaseDistribution]:
    """Return the canonical distribution of every parameter that an architecture of the space may have."""
    names = as_parameters(space.largest)
    return {name: CategoricalDistribution(getattr(space, name.partition(".")[0]).values) for name in names}
