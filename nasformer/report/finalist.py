"""Finalist: an architecture evaluated on the test split after the selection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nasformer.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Finalist:
    """The winner, or a baseline.

    Args:
        label: Name in the report, such as ``"winner (evolution, seed 1)"``.
        architecture: The architecture.
        params: Number of parameters.
        macs: Multiply-accumulate operations per example.
        inherited: With inherited weights: the objective, such as accuracy in percent, on the ``search`` and ``test``
            splits.
        retrained: After retraining: the objective on ``test``; empty if not retrained.
        chosen: Whether it is the winner.
    """

    label: str
    architecture: Architecture
    params: int
    macs: int
    inherited: Mapping[str, float] = field(default_factory=dict)
    retrained: Mapping[str, float] = field(default_factory=dict)
    chosen: bool = False
