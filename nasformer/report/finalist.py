"""Finalist: a network that was trained and evaluated on the test split after the selection."""

from __future__ import annotations

from dataclasses import dataclass

from nasformer.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Finalist:
    """A winner or its rival under a budget.

    Args:
        kind: Which, and how it was trained, such as ``"uniform ViT, trained alone"``; the first is of the winners.
        budget: Its budget, such as ``"params <= 8K"``.
        architecture: The architecture.
        params: Number of parameters.
        macs: Multiply-accumulate operations per example.
        inherited: The objective on the test split with inherited weights, such as accuracy in percent.
        trained: The objective on the test split after the training.
    """

    kind: str
    budget: str
    architecture: Architecture
    params: int
    macs: int
    inherited: float
    trained: float
