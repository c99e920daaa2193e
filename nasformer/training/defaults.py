"""Default recipes: of a dataset, by its name or by a rule of its size, and of a family from a checkpoint.

docs/how-to/train.md has the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from nasformer.data.dataset import Dataset
from nasformer.data.memory import ImagesInMemory
from nasformer.training.device import find_device
from nasformer.training.log import logger
from nasformer.training.recipe import NOT_AUGMENTED, Recipe
from nasformer.training.tensor_augment import statistics

LARGE = 500_000
"""From this many train images on, the recipe is the paper's for ImageNet."""

_PIXELS = 2**24
_GPU = 10
_LONG = 200
_FAMILY: dict[str, Any] = {
    "sampling": "sandwich",
    "inplace_distillation": "next_larger",
    "distillation": "soft",
    "mixup": 0.0,
    "cutmix": 0.0,
    "drop_path": 0.0,
    "auto_augment": None,
    "random_erasing": 0.0,
}


def default_recipe(
    data: Dataset, device: str | torch.device = "auto", given: Mapping[str, Any] | None = None
) -> Recipe:
    """Return the recipe of a built-in dataset, of ImageNet for large data, else one that fits size and device.

    The rule: of n train images of s pixels width, 2^24 / s images are seen on a CPU, ten times as many on a GPU, in 10
    to 300 epochs, a twentieth of them warm-up. A batch is the power of two below n / 32, from 8 to 128 (512 on a GPU);
    the learning rate is 1e-3 for batches of 64 and more, and falls with the root of smaller ones. Trainings of fewer
    than 200 epochs do without mixup, CutMix, drop-path and random erasing. Images that are augmented in batches are
    translated by up to an eighth, as they are not cropped.

    Args:
        data: The dataset.
        device: Device of the training.
        given: Values that are given; the others follow from them.

    Raises:
        RecipeError: A given value is invalid.
    """
    given, images = dict(given or {}), len(data.train)
    if Recipe.is_built_in(data.name) or images >= LARGE or "epochs" in data.task.recipe:
        return fit_recipe(Recipe.for_dataset(data.name, data.task), data).replace(**given)
    gpu = find_device(device).type != "cpu"
    seen = _PIXELS / data.image_size * (_GPU if gpu else 1)
    epochs, batch = min(300, max(10, round(seen / images))), _largest_power(images // 32)
    rule: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": min(512 if gpu else 128, max(8, batch), max(2, 2 * (images // 4))),
    }
    rule |= {key: given[key] for key in rule if isinstance(given.get(key), int)}
    epochs, batch = max(1, rule["epochs"]), max(2, rule["batch_size"])
    rule |= {
        "warmup_epochs": min(max(1, round(epochs / 20)), epochs - 1),
        "learning_rate": 1e-3 * min(1.0, (batch / 64) ** 0.5),
        "grad_clip": 1.0,
        "ema_decay": 0.998,
        "ema_warmup": True,
        "validate_every": -(-epochs // 50),
        **({} if epochs >= _LONG else {"mixup": 0.0, "cutmix": 0.0, "drop_path": 0.0, "random_erasing": 0.0}),
    }
    if statistics(data.train, data.record) is not None:
        rule["affine"] = {"translate": 0.125}
    return Recipe(**{**rule, **data.task.recipe, **given})


def family_recipe(data: Dataset, device: str | torch.device = "auto", given: Mapping[str, Any] | None = None) -> Recipe:
    """Return the recipe of a supernet from a trained checkpoint: that of fine-tuning, with sandwiches.

    A tenth of the epochs and of the learning rate of the data's default, no mixing, no policy and no drop-path. The
    largest subnet learns from the original model too, the others from the next larger ones.

    Args:
        data: The dataset.
        device: Device of the training.
        given: Values that are given.

    Raises:
        RecipeError: A given value is invalid.
    """
    return default_recipe(data, device).finetuning().replace(**{**_FAMILY, **(given or {})})


def recorded_recipe(recorded: Mapping[str, Any], data: Dataset) -> Recipe:
    """Return the recipe that weights record, fitted to the data.

    One without ``candidates`` is older than the augmentation of images in memory, which it then does not mean.
    """
    former = isinstance(data.train, ImagesInMemory) and "candidates" not in recorded
    return fit_recipe(Recipe(**{**recorded, **(NOT_AUGMENTED if former else {})}), data)


def fit_recipe(recipe: Recipe, data: Dataset) -> Recipe:
    """Return a recipe without mixing where the task has none, and with batches of an eighth of few train images."""
    images = len(data.train)
    if not data.task.softens:
        recipe = recipe.replace(mixup=0.0, cutmix=0.0, label_smoothing=0.0)
    if recipe.batch_size > images:
        recipe = recipe.replace(batch_size=max(2, _largest_power(images // 8)), accumulation_steps=1)
        logger.warning("batch size %d: there are %d train %s", recipe.batch_size, images, data.task.examples)
    return recipe


def _largest_power(number: int) -> int:
    return 1 << max(0, number.bit_length() - 1)
