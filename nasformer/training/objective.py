"""Training objective: the task's loss, mixed with distillation from a teacher or a larger subnet.

In-place distillation from the largest subnet as in Yu and Huang, ICCV 2019, from the next larger one as in Scala (arXiv
2412.04786). Every loss is a mean over examples, so the losses of shards and
micro-batches average to that of the batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nasformer.data.dataset import Dataset, targets_of
from nasformer.errors import RecipeError
from nasformer.training.recipe import Recipe


class Objective:
    """The loss of a recipe.

    Args:
        recipe: Label smoothing, class weights and distillation.
        data: The dataset with its task; "balanced" weights count its train targets.
        device: Device.

    Raises:
        RecipeError: The task cannot do what the recipe asks.
    """

    def __init__(self, recipe: Recipe, data: Dataset, device: torch.device) -> None:
        self._recipe, self._task = recipe, data.task
        if not self._task.softens and (recipe.mixes or recipe.label_smoothing):
            named = {key: getattr(recipe, key) for key in ("mixup", "cutmix", "label_smoothing")}
            asked = ", ".join(f"{key} {value:g}" for key, value in named.items() if value)
            raise RecipeError(f"the recipe has {asked}, which {self._task.name} does not support; set 0", recipe)
        self._smoothing = 0.0 if recipe.mixes else recipe.label_smoothing  # mixup applies the smoothing itself
        weights = self._task.weights(recipe.class_weights, targets_of(data.train))
        self._weights = None if weights is None else torch.tensor(weights, device=device)

    def __call__(self, outputs: Tensor, targets: Tensor, teacher_outputs: Tensor | None = None) -> Tensor:
        """Return the loss.

        Args:
            outputs: ``(batch, outputs)``.
            targets: Targets of the task, or soft targets ``(batch, outputs)``.
            teacher_outputs: A teacher's outputs ``(batch, outputs)``.
        """
        if teacher_outputs is None:
            return self._labels(outputs, targets)
        hard, temperature = self._recipe.distillation == "hard", self._recipe.distillation_temperature
        taught = self._task.distillation(outputs, teacher_outputs, hard=hard, temperature=temperature)
        return self._mixed(outputs, targets, taught)

    def inplace(self, outputs: Tensor, targets: Tensor, larger: Tensor) -> Tensor:
        """Return the loss of a subnet towards the outputs ``(batch, outputs)`` of a larger one.

        Towards those of the next larger one it is mixed with the loss of the labels.
        """
        taught = self._task.distillation(outputs, larger)
        progressive = self._recipe.inplace_distillation == "next_larger"
        return self._mixed(outputs, targets, taught) if progressive else taught

    def _labels(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self._task.loss(outputs, targets, smoothing=self._smoothing, weights=self._weights)

    def _mixed(self, outputs: Tensor, targets: Tensor, taught: Tensor) -> Tensor:
        share = self._recipe.distillation_weight
        return (1 - share) * self._labels(outputs, targets) + share * taught
