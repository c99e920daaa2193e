"""TrainingResult: the record of a training, saved with the weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nasformer.data.dataset import Dataset
from nasformer.data.held_out import held_out
from nasformer.training.log import Row
from nasformer.training.recipe import Recipe


@dataclass(frozen=True)
class TrainingResult:
    """The record of a training.

    Attributes:
        history: One row per epoch: train_loss, learning_rate, macs, seconds, validation if there was one, and of images
            that are not in memory ``images_per_second`` and ``reading``, the share of the time that waited for them.
        seconds: Total time, over all resumes.
        steps: Optimizer steps.
        device: Device.
        recipe: The recipe.
        data: The record of the dataset.
        processes: Number of processes.
        teacher: Hash of the distillation teacher's weights.
        kept: The epoch of the weights; None: the last.
    """

    history: list[Row]
    seconds: float
    steps: int
    device: str
    recipe: Recipe
    data: dict[str, Any]
    processes: int = 1
    teacher: str | None = None
    kept: int | None = None

    @property
    def validation(self) -> dict[str, dict[str, float]]:
        """The validation of the weights: the task's objectives, by subnet name."""
        rows = [row for row in self.history if "validation" in row and row["epoch"] <= (self.kept or row["epoch"])]
        return dict(rows[-1]["validation"]) if rows else {}

    @property
    def macs(self) -> int | None:
        """The multiply-accumulates of all epochs, forward and backward; None if those of the network are unknown."""
        counts = [row.get("macs") for row in self.history]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            "seconds": self.seconds,
            "steps": self.steps,
            "macs": self.macs,
            "device": self.device,
            "processes": self.processes,
            "recipe": self.recipe.to_dict(),
            "data": self.data,
            "teacher": self.teacher,
            "kept": self.kept,
            "validation": self.validation,
            "history": self.history,
        }


def trained(result: TrainingResult, data: Dataset) -> dict[str, Any]:
    """Return the metadata of weights: the training, and the names of its search and test images, if they are files."""
    names = held_out(data)
    return {"training": result.to_dict(), **({} if names is None else {"held_out": names})}
