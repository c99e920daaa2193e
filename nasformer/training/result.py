"""TrainingResult: what a training did, as it is kept with the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nasformer.training.log import Row
from nasformer.training.recipe import Recipe


@dataclass(frozen=True)
class TrainingResult:
    """What a training did.

    Attributes:
        history: One row an epoch: train_loss, learning_rate, seconds, and the validation where there was one.
        seconds: Time spent, over all sittings.
        steps: Optimizer steps.
        device: Where it ran.
        recipe: The recipe.
        data: The record of the dataset.
        processes: How many trained together.
        teacher: Hash of the weights that it learned from beside the labels.
    """

    history: list[Row]
    seconds: float
    steps: int
    device: str
    recipe: Recipe
    data: dict[str, Any]
    processes: int = 1
    teacher: str | None = None

    @property
    def validation(self) -> dict[str, dict[str, float]]:
        """The last validation: accuracy in percent and loss, by name of what was validated."""
        rows = [row for row in self.history if "validation" in row]
        return dict(rows[-1]["validation"]) if rows else {}

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            "seconds": self.seconds,
            "steps": self.steps,
            "device": self.device,
            "processes": self.processes,
            "recipe": self.recipe.to_dict(),
            "data": self.data,
            "teacher": self.teacher,
            "validation": self.validation,
            "history": self.history,
        }
