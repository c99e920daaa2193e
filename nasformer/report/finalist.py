"""Finalist: an architecture that was scored on the test images, once the choice had been made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nasformer.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Finalist:
    """The winner, or a network that it is held against.

    Args:
        label: What the report calls it, such as ``"winner (evolution, seed 1)"``.
        architecture: The architecture.
        params: Its parameters.
        macs: Its multiply-accumulates for one image.
        inherited: With the supernet's weights: ``search_accuracy`` and ``test_accuracy``, in percent.
        retrained: With weights of its own: ``test_accuracy``, in percent; empty where it was not retrained.
        chosen: Whether the search chose it.
    """

    label: str
    architecture: Architecture
    params: int
    macs: int
    inherited: Mapping[str, float] = field(default_factory=dict)
    retrained: Mapping[str, float] = field(default_factory=dict)
    chosen: bool = False
