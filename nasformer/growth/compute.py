"""Compute of a growth: in multiply-accumulates, or in seconds of this machine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nasformer.architecture import Architecture
from nasformer.data import Dataset
from nasformer.errors import RecipeError
from nasformer.search import SearchResult
from nasformer.supernet import Supernet
from nasformer.training import FinetuneResult, Recipe
from nasformer.training.compute import PASSES
from nasformer.training.pace import seconds_per_image
from nasformer.training.subnet import train_subnet

_SEARCH = 0.3
"""Share of a budget's time after which its search ends."""


@dataclass
class Compute(ABC):
    """The compute that is left for searches and fine-tunings.

    Attributes:
        data: The dataset.
        left: What is left.
    """

    data: Dataset
    left: float

    @abstractmethod
    def after(self, searched: float) -> float:
        """Return what a search leaves.

        Raises:
            RecipeError: Nothing.
        """

    @abstractmethod
    def seconds(self, share: float) -> float | None:
        """Return the time limit of a search in a share of what is left; None: it has none."""

    @abstractmethod
    def of_search(self, result: SearchResult, images: int, confirming: float) -> float:
        """Return what a search took on so many images, with ``confirming`` planned for its fine-tunings."""

    @abstractmethod
    def of_image(self, net: Supernet, architecture: Architecture, recipe: Recipe, options: Mapping[str, Any]) -> float:
        """Return what a subnet's training takes per image."""

    @abstractmethod
    def of_training(self, tuned: FinetuneResult) -> float:
        """Return what a fine-tuning took."""


class MacsCompute(Compute):
    """Multiply-accumulates, forward and backward."""

    def after(self, searched: float) -> float:
        """Return what a search leaves."""
        if searched >= self.left:
            raise RecipeError(
                f"the searches take all of the compute, {self.left:.3g} multiply-accumulates; take more", self.left
            )
        return self.left - searched

    def seconds(self, share: float) -> None:
        """Return no time limit."""

    def of_search(self, result: SearchResult, images: int, confirming: float) -> float:
        """Return the compute of all evaluations, as without races, and what was planned for fine-tunings."""
        return float(sum(trial.costs["macs"] for trial in result.trials) * images) + confirming

    def of_image(self, net: Supernet, architecture: Architecture, recipe: Recipe, options: Mapping[str, Any]) -> float:
        """Return three forward passes."""
        return PASSES * net.space.macs(architecture)

    def of_training(self, tuned: FinetuneResult) -> float:
        """Return what the training counted."""
        return tuned.training.macs or 0


class SecondsCompute(Compute):
    """Seconds of this machine."""

    def after(self, searched: float) -> float:
        """Return what a search leaves; a fine-tuning has a batch at least."""
        return max(0.0, self.left - searched)

    def seconds(self, share: float) -> float:
        """Return three tenths of the share, and a second at least."""
        return max(1.0, _SEARCH * share * self.left)

    def of_search(self, result: SearchResult, images: int, confirming: float) -> float:
        """Return its time."""
        return result.seconds["total"]

    def of_image(self, net: Supernet, architecture: Architecture, recipe: Recipe, options: Mapping[str, Any]) -> float:
        """Return the time of some steps, per image."""
        return seconds_per_image(train_subnet, net.extract(architecture), self.data, recipe, **options)

    def of_training(self, tuned: FinetuneResult) -> float:
        """Return its time."""
        return tuned.training.seconds
