"""Finalist: an architecture evaluated on test images after the selection."""

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
        macs: Multiply-accumulate operations per image.
        inherited: With inherited weights: ``search_accuracy`` and ``test_accuracy``, in percent.
        retrained: After retraining: ``test_accuracy``, in percent; empty if not retrained.
        chosen: Whether it is the winner.
    """

    label: str
    architecture: Architecture
    params: int
    macs: int
    inherited: Mapping[str, float] = field(default_factory=dict)
    retrained: Mapping[str, float] = field(default_factory=dict)
    chosen: bool = False
