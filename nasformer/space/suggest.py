"""Suggesting: an architecture from an Optuna trial, for objectives of the user's own.

The parameters are those of our studies: ``embed_dim``, ``depth``, and ``num_heads.L`` and ``mlp_ratio.L`` of each
layer L. Optuna is not imported here; anything with ``suggest_categorical`` serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from nasformer.architecture import Architecture

if TYPE_CHECKING:
    from nasformer.space.dimension import Dimension
    from nasformer.space.searchspace import SearchSpace


class Suggesting(Protocol):
    """What is asked of a trial."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices."""
        ...


def suggest(space: SearchSpace, trial: Suggesting) -> Architecture:
    """Return the architecture that a trial suggests; a dimension that all layers share is suggested once."""
    depth = int(trial.suggest_categorical("depth", space.depth.values))
    return Architecture(
        int(trial.suggest_categorical("embed_dim", space.embed_dim.values)),
        tuple(map(int, _layers("num_heads", space.num_heads, depth, trial))),
        tuple(_layers("mlp_ratio", space.mlp_ratio, depth, trial)),
    )


def _layers(name: str, dimension: Dimension, depth: int, trial: Suggesting) -> list[float]:
    suggested = [
        trial.suggest_categorical(f"{name}.{layer}", dimension.values)
        for layer in range(depth if dimension.kind == "per_layer" else 1)
    ]
    return suggested if dimension.kind == "per_layer" else suggested * depth
