"""Augmentation of whole batches on the device: flips, RandAugment and random erasing of small images.

Decoding and augmenting small images one by one costs more than a small network. So files of small images are decoded
once, and their pixels are augmented as tensors; larger ones are read and augmented one by one (``data.image_files``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from nasformer.data.dataset import Split
from nasformer.data.image_files import ImageFiles, Plain
from nasformer.data.memory import ImagesInMemory
from nasformer.data.picture import MODES
from nasformer.errors import RecipeError
from nasformer.supernet.layers import Shard
from nasformer.training.augment import draws
from nasformer.training.recipe import Recipe

SMALL = 64
"""Files of images up to this size, in pixels, are decoded once, then augmented in batches."""

MOST_BYTES = 2**31
"""Files whose pixels take more bytes than this are read one by one."""

_PER_OPERATION = 8  # images that share their drawn operations
_LEVELS = 11  # timm's magnitudes are 0 to 10 of the same maxima as torchvision's
_OPERATION_PROBABILITY = 0.5  # timm's default
_AREA, _ASPECT = (0.02, 1 / 3), (0.3, 1 / 0.3)  # of an erased box, as timm's

Statistics = tuple[Sequence[float], Sequence[float]]
"""Mean and standard deviation of each channel of images normalised from [0, 1]."""


def statistics(split: Split, record: Mapping[str, Any]) -> Statistics | None:
    """Return the normalisation of train images that are augmented in batches; None: they are not.

    Args:
        split: The train images.
        record: Record of the dataset, which knows the normalisation of images in memory.
    """
    if isinstance(split, ImageFiles) and isinstance(split.transform, Plain):
        size = split.transform.image_size
        small = size <= SMALL and len(split) * split.transform.channels * size**2 <= MOST_BYTES
        return (split.transform.mean, split.transform.std) if small else None
    if not isinstance(split, ImagesInMemory) or split.images.ndim != 4 or split.images.shape[1] not in MODES:
        return None
    return (record["mean"], record["std"]) if record.get("mean") and record.get("std") else None


class TensorAugment:
    """Flips, RandAugment and random erasing of normalised batches.

    The operations of RandAugment are drawn for groups of 8 images, which lie apart in the batch; boxes and flips for
    each image. Numbers are drawn for the joint batch of all processes.

    Args:
        recipe: ``horizontal_flip``, ``auto_augment`` and ``random_erasing``.
        known: Mean and standard deviation of the images.
        device: Device of the batches.

    Raises:
        RecipeError: The policy is not RandAugment.
    """

    def __init__(self, recipe: Recipe, known: Statistics, device: torch.device) -> None:
        self._recipe = recipe
        self._mean, self._std = (torch.tensor(values, device=device).view(-1, 1, 1) for values in known)
        self._policy = None if recipe.auto_augment is None else rand_augment(recipe.auto_augment, known[0])

    def __call__(self, images: Tensor, shard: Shard | None = None) -> Tensor:
        """Return a batch ``(batch, channels, height, width)``, augmented.

        Args:
            images: Normalised images.
            shard: Their rows in the joint batch; None: all.
        """
        if self._recipe.horizontal_flip:
            mirrored = draws(1, images, shard)[0] < self._recipe.horizontal_flip
            images = torch.where(mirrored.view(-1, 1, 1, 1), images.flip(-1), images)
        if self._policy is not None:
            pixels = (images * self._std + self._mean).clamp(0, 1)
            images = (_operated(pixels, shard, *self._policy) - self._mean) / self._std
        return _erased(images, self._recipe.random_erasing, shard) if self._recipe.random_erasing else images


def rand_augment(policy: str, fill: Sequence[float]) -> tuple[Callable[[Tensor], Tensor], int, float]:
    """Return one random operation on a batch, how many there are, and the probability of each.

    Of timm's policy the magnitude (m), the number of operations (n) and their probability (p) are kept; its operations
    are torchvision's, of the same maximal strengths.

    Args:
        policy: A policy of timm such as "rand-m9-n2".
        fill: Value of each channel beyond the borders.

    Raises:
        RecipeError: Another policy.

    >>> rand_augment("rand-m9-n3-mstd0.5", [0.5])[1:]
    (3, 0.5)
    """
    kind, *sections = policy.split("-")
    if kind != "rand":
        words = f"images of at most {SMALL} pixels take RandAugment only, got auto_augment {policy!r}"
        raise RecipeError(f"{words}; give rand-m9-n2, or null for none", policy)
    from torchvision.transforms import InterpolationMode, v2

    found = {name: float(value) for part in sections for name, value in re.findall(r"^([mnp])([\d.]+)$", part)}
    magnitude = min(_LEVELS - 1, round(found.get("m", _LEVELS - 1)))
    bilinear = InterpolationMode.BILINEAR
    operation = v2.RandAugment(1, magnitude, _LEVELS, interpolation=bilinear, fill=list(fill))
    return operation, int(found.get("n", 2)), found.get("p", _OPERATION_PROBABILITY)


def _operated(
    pixels: Tensor, shard: Shard | None, operation: Callable[[Tensor], Tensor], count: int, chance: float
) -> Tensor:
    """Return images in [0, 1] after random operations on groups of them."""
    rows = torch.arange(len(pixels)) if shard is None else shard.rows.cpu()
    groups = -(-(len(pixels) if shard is None else shard.joint) // _PER_OPERATION)
    seeds = torch.randint(2**31, (groups,)).tolist()
    state = torch.get_rng_state()  # afterwards that of every process, whatever groups it has
    for group in sorted(set((rows % groups).tolist())):
        torch.default_generator.manual_seed(seeds[group])
        own = (rows % groups == group).nonzero()[:, 0].to(pixels.device)
        for _ in range(count):
            if float(torch.rand(())) < chance:
                pixels[own] = operation(pixels[own])
    torch.set_rng_state(state)
    return pixels


def _erased(images: Tensor, probability: float, shard: Shard | None) -> Tensor:
    """Return images with a random box at zero, the mean (Zhong et al., AAAI 2020)."""
    height, width = images.shape[-2:]
    drawn, area, aspect, top, left = draws(5, images, shard)
    size = height * width * (_AREA[0] + area * (_AREA[1] - _AREA[0]))
    ratio = torch.exp(math.log(_ASPECT[0]) + aspect * (math.log(_ASPECT[1]) - math.log(_ASPECT[0])))
    rows = _interval(top, (size * ratio).sqrt(), height)
    columns = _interval(left, (size / ratio).sqrt(), width)
    box = rows[:, None, :, None] & columns[:, None, None, :] & (drawn < probability).view(-1, 1, 1, 1)
    return images.masked_fill(box, 0.0)


def _interval(place: Tensor, length: Tensor, size: int) -> Tensor:
    """Return which of ``size`` positions are in an interval of each image, ``(batch, size)``."""
    length = length.round().clamp(1, size)
    first = (place * (size + 1 - length)).floor()
    positions = torch.arange(size, device=place.device)
    return (positions >= first[:, None]) & (positions < (first + length)[:, None])
