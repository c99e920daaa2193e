"""Training objective: the task's loss, mixed with distillation from a teacher or the largest subnet.

In-place distillation as in Yu and Huang, ICCV 2019. Every loss is a mean over examples, so the losses of shards and
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
        loss = self._task.loss(outputs, targets, smoothing=self._smoothing, weights=self._weights)
        if teacher_outputs is None:
            return loss
        share, hard = self._recipe.distillation_weight, self._recipe.distillation == "hard"
        temperature = self._recipe.distillation_temperature
        taught = self._task.distillation(outputs, teacher_outputs, hard=hard, temperature=temperature)
        return (1 - share) * loss + share * taught

    def inplace(self, outputs: Tensor, largest: Tensor) -> Tensor:
        """Return the loss towards the outputs of the largest subnet, ``(batch, outputs)`` each."""
        return self._task.distillation(outputs, largest)
