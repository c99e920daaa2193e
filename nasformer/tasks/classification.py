"""classification: one of several classes per image, by cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nasformer.errors import DataError, RecipeError
from nasformer.tasks._checks import is_strings
from nasformer.tasks._task import Array, Estimate, Figures, Metric, Task

if TYPE_CHECKING:
    from torch import Tensor

TOP = 5
_LEAST_IMAGES = 20
"""Images of each class before networks are compared by a mean over classes."""


@dataclass(frozen=True)
class Classification(Task):
    """One class per image.

    Args:
        classes: Names of the classes, in the order of the outputs; two may be equal, as ImageNet's cranes are.

    Raises:
        DataError: The classes are no names.
    """

    name: ClassVar[str] = "classification"
    output: ClassVar[str] = "logits"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", "top-1 accuracy", "%", True, scale=100.0, digits=2, proportion=True),
        Metric("top5", "top-5 accuracy", "%", True, digits=2, proportion=True),
        Metric("balanced_accuracy", "balanced accuracy", "%", True, digits=2),
        Metric("macro_f1", "macro F1", "%", True, digits=2),
        Metric("loss", "loss", "nats"),
    )
    objectives: ClassVar[tuple[str, ...]] = ("accuracy", "loss", "balanced_accuracy", "macro_f1")
    recipe: ClassVar[dict[str, Any]] = {}
    softens: ClassVar[bool] = True
    weighted: ClassVar[bool] = True

    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not is_strings(self.classes):
            raise DataError(f"classes must be names, got {self.classes!r}", self.classes)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The classes."""
        return self.classes

    def check(self, targets: Tensor, split: str) -> Tensor:
        """Return class indices ``(examples,)``.

        Raises:
            DataError: Not one integer per example, or not an index of a class.
        """
        if targets.ndim != 1 or targets.is_floating_point():
            raise DataError(
                f"the {split} labels must be one integer per image, got {targets.dtype} {tuple(targets.shape)}", targets
            )
        if targets.numel() and int(targets.max()) >= len(self.classes):
            raise DataError(
                f"the {split} labels reach {int(targets.max())}, but there are "
                f"{len(self.classes)} classes (0 to {len(self.classes) - 1})",
                targets,
            )
        if targets.numel() and int(targets.min()) < 0:
            raise DataError(f"the {split} labels must be 0 or more, got {int(targets.min())}", targets)
        return targets.long()

    def balanced(self, targets: Tensor) -> list[float]:
        """Return weights with mean 1 over the train images.

        Raises:
            RecipeError: A class has no train image.
        """
        number = len(self.classes)
        counts = targets.bincount(minlength=number)
        if not counts.all():
            empty = int((counts == 0).nonzero()[0])
            raise RecipeError(
                f"class {self.classes[empty]!r} has no train image, so no balanced weight; list class_weights", empty
            )
        return [float(weight) for weight in counts.sum() / (number * counts)]

    def loss(
        self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0, weights: Tensor | None = None
    ) -> Tensor:
        """Return the cross-entropy of logits with class indices ``(batch,)`` or soft targets ``(batch, classes)``."""
        from torch.nn import functional as F

        if weights is None:
            return F.cross_entropy(outputs, targets, label_smoothing=smoothing)
        # torch's "mean" divides by the weights of these images, so shards would not average to the batch's loss
        total = F.cross_entropy(outputs, targets, weights.to(outputs.dtype), label_smoothing=smoothing, reduction="sum")
        return total / len(outputs)

    def distillation(self, outputs: Tensor, teacher: Tensor, *, hard: bool = False, temperature: float = 1.0) -> Tensor:
        """Return the cross-entropy with the teacher's class, or KL(teacher || student).

        Hinton et al., "Distilling the Knowledge in a Neural Network", 2015; hard labels as in DeiT (Touvron et al.,
        ICML 2021, section 4).
        """
        from torch.nn import functional as F

        if hard:
            return F.cross_entropy(outputs, teacher.argmax(dim=1))
        logs = (outputs / temperature).log_softmax(1), (teacher / temperature).log_softmax(1)
        return temperature**2 * F.kl_div(*logs, reduction="batchmean", log_target=True)

    def divergence(self, outputs: Tensor, teacher: Tensor) -> Tensor:
        """Return KL(teacher || outputs) of each image in nats, ``(batch,)``."""
        from torch.nn import functional as F

        return F.kl_div(outputs.log_softmax(1), teacher.log_softmax(1), reduction="none", log_target=True).sum(1)

    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return whether each image is classified correctly, its cross-entropy in nats, and both its classes."""
        import torch
        from torch.nn import functional as F

        predicted, kind = outputs.argmax(dim=1), torch.int16 if outputs.shape[1] < 2**15 else torch.int32
        return {
            "accuracy": predicted == targets,
            "loss": F.cross_entropy(outputs, targets, reduction="none"),
            "actual": targets.to(kind),
            "predicted": predicted.to(kind),
        }

    def totals(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the sums of both scores, and the images of each class: right, actual and predicted."""
        scores = self.scores(outputs, targets)
        counts = {name: each.bincount(minlength=outputs.shape[1]) for name, each in _classes(scores).items()}
        return {"accuracy": scores["accuracy"].sum(), "loss": scores["loss"].sum(), **counts}

    def means(self, totals: Mapping[str, Tensor], count: int) -> dict[str, float]:
        """Return the objectives; balanced accuracy and macro F1 are means over the classes that have images."""
        counts = {name: total.cpu().numpy() for name, total in totals.items() if total.ndim}
        means = super().means({name: total for name, total in totals.items() if name not in counts}, count)
        of_classes = {name: classes[counts["actual"] > 0].mean() for name, classes in _by_class(**counts).items()}
        return means | {name: float(mean) for name, mean in of_classes.items()}

    def estimate(self, objective: str, scores: Mapping[str, NDArray[Any]]) -> Estimate:
        """Return an objective of images; balanced accuracy and macro F1 are linearised in the counts of classes.

        That is the delta method: of balanced accuracy the standard error is that of strata with the classes' images
        (Cochran, Sampling Techniques, 1977, section 5A.9).
        """
        if objective in scores:
            return super().estimate(objective, scores)
        actual, predicted, right = (scores[name] for name in ("actual", "predicted", "accuracy"))
        number = max(len(self.classes), 1 + int(actual.max()), 1 + int(predicted.max()))
        counts = {name: np.bincount(each, minlength=number) for name, each in _classes(scores).items()}
        images, of_classes = counts["actual"], _by_class(**counts)[objective]
        if objective == "balanced_accuracy":
            apart = (100.0 * right - of_classes[actual]) / images[actual]
        else:
            sizes = images + counts["predicted"]
            apart = (200.0 * right - of_classes[actual]) / sizes[actual] - of_classes[predicted] / sizes[predicted]
        value, known = float(of_classes[images > 0].mean()), np.count_nonzero(images)
        examples = value + len(actual) / known * apart
        return Estimate(value, examples, bool(images.min() >= _LEAST_IMAGES))

    def evaluate(self, outputs: Array, targets: NDArray[Any]) -> Figures:
        """Return top-5 accuracy, accuracy per class and the confusion matrix.

        Row i of the confusion matrix counts the images of class i by predicted class.
        """
        guesses, number = outputs.argmax(1), outputs.shape[1]
        confusion = np.bincount(number * targets + guesses, minlength=number**2).reshape(number, number)
        images = confusion.sum(axis=1)
        recalls = _by_class(confusion.diagonal(), images, confusion.sum(axis=0))["balanced_accuracy"]
        figures = {
            "per_class": [
                {"class": name, "images": int(count), "accuracy": float(recall) if count else None}
                for name, count, recall in zip(self._named(len(images)), images, recalls, strict=True)
            ],
            "confusion": confusion.tolist(),
        }
        if number > TOP:
            best = np.argpartition(-outputs, TOP - 1, axis=1)[:, :TOP]
            figures["top5"] = 100.0 * float((best == targets[:, None]).any(axis=1).mean())
        return figures

    def predictions(self, outputs: Array, top: int = 5) -> list[Figures]:
        """Return the most probable classes of each image with their probabilities."""
        chances, names = _softmax(outputs), self._named(outputs.shape[1])
        best = np.argsort(-chances, axis=1, kind="stable")[:, :top]
        return [
            {"classes": [{"class": names[place], "probability": float(row[place])} for place in places]}
            for row, places in zip(chances, best, strict=True)
        ]

    def agreement(self, outputs: Array, others: Array) -> float:
        """Return the share of images with the same predicted class."""
        return float((outputs.argmax(1) == others.argmax(1)).mean())

    def of_weights(self, trained: Task) -> Task:
        """Return this classification if the weights have as many classes, whatever their names.

        Raises:
            DataError: They have not.
        """
        alike = trained.name == self.name and len(trained.outputs) == len(self.classes)
        return self if alike else super().of_weights(trained)

    def record(self) -> Figures:
        """Return the class names; a record without a task is of a classification."""
        return {"classes": list(self.classes)}

    def _named(self, number: int) -> tuple[str, ...]:
        return self.classes or tuple(map(str, range(number)))


def _classes(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Return the classes that images were rightly told, have and were told: of tensors or arrays."""
    return {
        "right": scores["actual"][scores["accuracy"]],
        "actual": scores["actual"],
        "predicted": scores["predicted"],
    }


def _by_class(right: NDArray[Any], actual: NDArray[Any], predicted: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    """Return recall and F1 of each class in percent, by the metric that is their mean; 0 without images."""
    return {
        "balanced_accuracy": 100.0 * right / np.maximum(actual, 1),
        "macro_f1": 200.0 * right / np.maximum(actual + predicted, 1),
    }


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    chances: Array = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return chances
