"""default_recipe: the recipe of a dataset, by its name or by a rule of its size; docs/training.md has the table."""

from __future__ import annotations

import torch

from nasformer.data.dataset import Dataset
from nasformer.training.device import find_device
from nasformer.training.recipe import Recipe

LARGE = 500_000
"""From this many train images on, the recipe is the paper's for ImageNet."""

_PIXELS = 2**25
_GPU = 10
_LONG = 200


def default_recipe(data: Dataset, device: str | torch.device = "auto") -> Recipe:
    """Return the recipe of a built-in dataset, of ImageNet for large data, else one that fits size and device.

    The rule: of n train images of s pixels width, 2^25 / s images are seen on a CPU, ten times as many on a GPU, in 10
    to 300 epochs, a twentieth of them warm-up. A batch is the power of two below n / 32, from 8 to 128 (512 on a GPU);
    the learning rate is 1e-3 for batches of 64 and more, and falls with the root of smaller ones. Trainings of fewer
    than 200 epochs do without mixup, CutMix, drop-path and random erasing.

    Args:
        data: The dataset.
        device: Device of the training.
    """
    images, own = len(data.train), Recipe.for_dataset(data.name, data.task)
    if Recipe.is_built_in(data.name) or images >= LARGE or "epochs" in data.task.recipe:
        return own
    gpu = find_device(device).type != "cpu"
    seen = _PIXELS / data.image_size * (_GPU if gpu else 1)
    epochs = min(300, max(10, round(seen / images)))
    batch = min(512 if gpu else 128, max(8, 2 ** ((images // 32).bit_length() - 1))) if images >= 32 else 8
    long = epochs >= _LONG
    rule = {
        "epochs": epochs,
        "warmup_epochs": max(1, round(epochs / 20)),
        "batch_size": min(batch, max(2, images // 2 * 2)),
        "learning_rate": 1e-3 * min(1.0, (batch / 64) ** 0.5),
        "grad_clip": 1.0,
        "ema_decay": 0.998,
        "ema_warmup": True,
        "validate_every": -(-epochs // 50),
        **({} if long else {"mixup": 0.0, "cutmix": 0.0, "drop_path": 0.0, "random_erasing": 0.0}),
    }
    return Recipe(**{**rule, **data.task.recipe})
