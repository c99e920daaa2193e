"""suggest: an architecture from an Optuna trial, for user-defined objectives.

The parameters are those of our studies: network dimensions by name, layer dimensions as ``num_heads.L`` per layer L.
Optuna is not imported; any object with ``suggest_categorical`` works.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from nasformer.architecture import Architecture

if TYPE_CHECKING:
    from nasformer.dimension import Dimension
    from nasformer.space.searchspace import SearchSpace


class TrialLike(Protocol):
    """The part of Optuna's trial interface that is used."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices."""
        ...


def suggest(space: SearchSpace, trial: TrialLike) -> Architecture:
    """Return the architecture that a trial suggests; tied dimensions are suggested once."""
    depth = int(trial.suggest_categorical("depth", space.depth.values))
    return Architecture(**{d.name: _values(d, depth, trial) for d in space.dimensions if d.name != "depth"})


def _values(dimension: Dimension, depth: int, trial: TrialLike) -> Any:
    if dimension.scope == "network":
        return trial.suggest_categorical(dimension.name, dimension.values)
    layers = range(1 if dimension.tied else depth)
    values = [trial.suggest_categorical(f"{dimension.name}.{layer}", dimension.values) for layer in layers]
    return values * depth if dimension.tied else values
