"""multi-label: any number of several labels per image, by binary cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nasformer.errors import DataError, RecipeError
from nasformer.tasks._checks import require_columns, require_finite, require_names, require_shape
from nasformer.tasks._task import Array, Figures, Metric, Task

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class MultiLabel(Task):
    """Several labels per image, each present or absent.

    Args:
        labels: Names of the labels, in the order of the outputs.

    Raises:
        DataError: The labels are no names, or two are equal.
    """

    name: ClassVar[str] = "multi-label"
    output: ClassVar[str] = "logits"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("mean_average_precision", "mAP", "%", True, digits=2),
        Metric("micro_f1", "micro F1", "%", True, digits=2),
        Metric("macro_f1", "macro F1", "%", True, digits=2),
        Metric("sample_f1", "F1 per image", "%", True, scale=100.0, digits=2),
        Metric("loss", "loss", "nats"),
    )
    objectives: ClassVar[tuple[str, ...]] = ("loss", "sample_f1")
    weighted: ClassVar[bool] = True

    labels: tuple[str, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_names(self.labels, "labels")

    @property
    def outputs(self) -> tuple[str, ...]:
        """The labels."""
        return self.labels

    def check(self, targets: Tensor, split: str) -> Tensor:
        """Return ``(examples, labels)`` of 0 and 1.

        Raises:
            DataError: A value is neither, or there are other columns.
        """
        values = require_finite(require_columns(targets, self.labels, split), split)
        odd = ((values != 0) & (values != 1)).nonzero()
        if len(odd):
            row, column = odd[0].tolist()
            raise DataError(
                f"label {self.labels[column]!r} of {split} image {row} is {float(values[row, column]):g}; "
                "a label is 0 or 1",
                values,
            )
        return values

    def balanced(self, targets: Tensor) -> list[float]:
        """Return the weight of each label's presence: absent over present in the train images.

        Raises:
            RecipeError: A label is on no image or on all.
        """
        present = targets.sum(dim=0)
        for words, odd in (("no", present == 0), ("every", present == len(targets))):
            if odd.any():
                name = self.labels[int(odd.nonzero()[0])]
                raise RecipeError(
                    f"{words} train image has label {name!r}, so no balanced weight; list class_weights", name
                )
        return [float(weight) for weight in (len(targets) - present) / present]

    def loss(
        self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0, weights: Tensor | None = None
    ) -> Tensor:
        """Return the binary cross-entropy, averaged over labels."""
        from torch.nn import functional as F

        soft = require_shape(targets, outputs) * (1 - smoothing) + smoothing / 2
        positive = None if weights is None else weights.to(outputs.dtype)
        return F.binary_cross_entropy_with_logits(outputs, soft.to(outputs.dtype), pos_weight=positive)

    def distillation(self, outputs: Tensor, teacher: Tensor, *, hard: bool = False, temperature: float = 1.0) -> Tensor:
        """Return the binary cross-entropy with the teacher's labels, or with its probabilities."""
        from torch.nn import functional as F

        wanted = (teacher > 0).to(outputs.dtype) if hard else (teacher / temperature).sigmoid()
        scale = 1.0 if hard else temperature
        return scale**2 * F.binary_cross_entropy_with_logits(outputs / scale, wanted)

    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return each image's binary cross-entropy, and the F1 of its labels (1 if there are none and none is told)."""
        from torch.nn import functional as F

        targets = require_shape(targets, outputs)
        guesses = (outputs > 0).to(targets.dtype)
        both, either = (guesses * targets).sum(1), guesses.sum(1) + targets.sum(1)
        return {
            "loss": F.binary_cross_entropy_with_logits(outputs, targets.to(outputs.dtype), reduction="none").mean(1),
            "sample_f1": (2 * both / either.clamp(min=1)).masked_fill(either == 0, 1.0),
        }

    def evaluate(self, outputs: Array, targets: NDArray[Any]) -> Figures:
        """Return mAP, micro and macro F1 at probability ½, and figures per label.

        mAP and macro F1 are means over the labels that are present; F1 is 2 tp / (2 tp + fp + fn).
        """
        from sklearn.metrics import average_precision_score

        guesses, truth = outputs > 0, targets > 0
        both, either, known = (guesses & truth).sum(0), guesses.sum(0) + truth.sum(0), truth.sum(0) > 0
        precisions = [
            100.0 * float(average_precision_score(targets[:, k], outputs[:, k])) if known[k] else None
            for k in range(targets.shape[1])
        ]
        f1 = 200.0 * both / np.maximum(either, 1)
        found = [precision for precision in precisions if precision is not None]
        return {
            "mean_average_precision": float(np.mean(found)) if found else None,
            "micro_f1": 200.0 * float(both.sum()) / max(float(either.sum()), 1.0),
            "macro_f1": float(f1[known].mean()) if known.any() else None,
            "per_label": [
                {"label": name, "images": int(count), "average_precision": precision, "f1": float(each)}
                for name, count, precision, each in zip(self.labels, truth.sum(0), precisions, f1, strict=True)
            ],
        }

    def predictions(self, outputs: Array, top: int = 5) -> list[Figures]:
        """Return each image's labels with a probability above ½, and the most probable others up to ``top``."""
        chances = np.exp(-np.logaddexp(0.0, -outputs.astype(np.float64)))  # no overflow
        order = np.argsort(-chances, axis=1, kind="stable")
        return [
            {
                "labels": [
                    {"label": self.labels[k], "probability": float(row[k]), "present": bool(present[k])}
                    for k in places[: max(top, int(present.sum()))]
                ]
            }
            for row, present, places in zip(chances, np.greater(outputs, 0), order, strict=True)
        ]

    def agreement(self, outputs: Array, others: Array) -> float:
        """Return the share of labels told alike."""
        return float(((outputs > 0) == (others > 0)).mean())
