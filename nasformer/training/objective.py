"""Training objective: cross-entropy with the labels, mixed with distillation from a teacher or the largest subnet.

Hinton et al., "Distilling the Knowledge in a Neural Network", 2015; hard labels as in DeiT (Touvron et al.,
ICML 2021, section 4); in-place distillation as in Yu and Huang, ICCV 2019. Every loss is a mean over images, so
the losses of shards and micro-batches average to that of the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from nasformer.data.dataset import Split
from nasformer.data.memory import ImagesInMemory
from nasformer.errors import RecipeError
from nasformer.training.recipe import Recipe


class Objective:
    """The loss of a recipe.

    Args:
        recipe: Label smoothing, class weights and distillation.
        train: The train images; "balanced" weights count their classes.
        num_classes: Number of classes.
        device: Device.

    Raises:
        RecipeError: The number of class weights is wrong, or the classes cannot be counted.
    """

    def __init__(self, recipe: Recipe, train: Split, num_classes: int, device: torch.device) -> None:
        self._recipe = recipe
        self._smoothing = 0.0 if recipe.mixes else recipe.label_smoothing  # mixup applies the smoothing itself
        weights = class_weights(recipe, train, num_classes)
        self._weights = None if weights is None else torch.tensor(weights, device=device)

    def __call__(self, logits: Tensor, targets: Tensor, teacher_logits: Tensor | None = None) -> Tensor:
        """Return the loss.

        Args:
            logits: ``(batch, num_classes)``.
            targets: Class indices ``(batch,)``, or soft targets ``(batch, num_classes)``.
            teacher_logits: A teacher's logits ``(batch, num_classes)``.
        """
        loss = self._labels(logits, targets)
        if teacher_logits is None:
            return loss
        share = self._recipe.distillation_weight
        return (1 - share) * loss + share * self._teacher(logits, teacher_logits)

    def _labels(self, logits: Tensor, targets: Tensor) -> Tensor:
        if self._weights is None:
            return F.cross_entropy(logits, targets, label_smoothing=self._smoothing)
        # torch's "mean" divides by the weights of these images, so shards would not average to the batch's loss
        weights = self._weights.to(logits.dtype)
        total = F.cross_entropy(logits, targets, weights, label_smoothing=self._smoothing, reduction="sum")
        return total / len(logits)

    def _teacher(self, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        if self._recipe.distillation == "hard":
            return F.cross_entropy(logits, teacher_logits.argmax(dim=1))
        temperature = self._recipe.distillation_temperature
        return temperature**2 * distillation_kl(logits / temperature, teacher_logits / temperature)


def distillation_kl(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Return KL(teacher || student) of logits ``(batch, num_classes)``, averaged over images."""
    return F.kl_div(logits.log_softmax(1), teacher_logits.log_softmax(1), reduction="batchmean", log_target=True)


def class_weights(recipe: Recipe, train: Split, num_classes: int) -> list[float] | None:
    """Return the weight of each class; "balanced" weights have mean 1 over the train images.

    Raises:
        RecipeError: The number of class weights is wrong, or the classes cannot be counted.
    """
    if recipe.class_weights is None:
        return None
    if recipe.class_weights != "balanced":
        if len(recipe.class_weights) != num_classes:
            given = len(recipe.class_weights)
            raise RecipeError(f"class_weights has {given} weights, but the data {num_classes} classes", recipe)
        return list(recipe.class_weights)
    counts = torch.bincount(torch.tensor(_labels(train)), minlength=num_classes)
    if not counts.all():
        empty = int((counts == 0).nonzero()[0])
        raise RecipeError(f"class {empty} has no train image, so no balanced weight; list class_weights", recipe)
    return [float(weight) for weight in counts.sum() / (num_classes * counts)]


def _labels(split: Split) -> Sequence[int]:
    if isinstance(split, ImagesInMemory):
        labels: list[int] = split.labels.tolist()
        return labels
    targets = getattr(split, "targets", None)
    if targets is None:
        raise RecipeError("class_weights 'balanced' needs the classes of the train images (.targets); give a list")
    return [int(target) for target in targets]
