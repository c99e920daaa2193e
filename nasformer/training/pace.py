"""Pace: how long a training step takes on this machine, measured by some steps of a copy."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy, deepcopy
from typing import Any

from torch import nn
from torch.utils.data import Subset

from nasformer.data.dataset import Dataset
from nasformer.training.recipe import Recipe
from nasformer.training.result import TrainingResult

_EPOCHS = 4
_STEPS = 8


def seconds_per_image(
    train: Callable[..., TrainingResult], net: nn.Module, data: Dataset, recipe: Recipe, **options: Any
) -> float:
    """Return the seconds of a training step per image, reading included: the least of some short epochs.

    Args:
        train: ``train_supernet`` or ``train_subnet``.
        net: The network; not modified.
        data: The dataset.
        recipe: The recipe.
        **options: ``device`` and ``readers`` of the training; others do not matter.
    """
    images = min(len(data.train), _STEPS * recipe.batch_size)
    short = recipe.replace(epochs=_EPOCHS, epoch_images=images, warmup_epochs=0, validate_every=_EPOCHS)
    some: Any = copy(data)
    some.search = Subset(some.search, range(min(len(data.search), recipe.batch_size)))  # validated once
    how = {name: options[name] for name in ("device", "readers") if name in options}
    result = train(deepcopy(net), some, short, progress=False, **how)
    return float(min(row["seconds"] for row in result.history[:-1])) * _EPOCHS / (result.steps * recipe.batch_size)
