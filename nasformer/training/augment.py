"""Batch augmentation on the device: random affine maps for small images, mixup and cutmix."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from nasformer.supernet.layers import Shard
from nasformer.training.recipe import Affine, Recipe

Batch = tuple[Tensor, Tensor]


def random_affine(images: Tensor, affine: Affine, fill: Tensor, shard: Shard | None = None) -> Tensor:
    """Rotate, translate, scale and shear each image at random, about its centre.

    Args:
        images: ``(batch, channels, height, width)``.
        affine: Ranges of the map.
        fill: Fill value of each channel ``(channels,)`` beyond the borders.
        shard: The rows of the joint batch in ``images``: numbers are drawn for the joint batch; None: all.
    """
    if affine == Affine():
        return images
    background = fill.view(1, -1, 1, 1)
    grid = F.affine_grid(_matrices(images, affine, shard), list(images.shape), align_corners=False)
    return F.grid_sample(images - background, grid, align_corners=False) + background


def draws(count: int, images: Tensor, shard: Shard | None) -> Tensor:
    """Return uniform numbers for each image, ``(count, batch)``, drawn for the joint batch."""
    numbers = torch.rand(count, len(images) if shard is None else shard.joint, device=images.device)
    return numbers if shard is None else numbers[:, shard.rows]


def mixer(recipe: Recipe, num_classes: int) -> Callable[[Tensor, Tensor], Batch]:
    """Return the mixup/cutmix function: images and labels to mixed images and soft targets ``(batch, num_classes)``.

    Without mixup and cutmix it is the identity.
    """
    if not recipe.mixes:
        return lambda images, labels: (images, labels)
    from timm.data.mixup import Mixup

    make: Callable[..., Callable[[Tensor, Tensor], Batch]] = Mixup
    return make(
        mixup_alpha=recipe.mixup,
        cutmix_alpha=recipe.cutmix,
        prob=recipe.mix_probability,
        label_smoothing=recipe.label_smoothing,
        num_classes=num_classes,
    )


def _matrices(images: Tensor, affine: Affine, shard: Shard | None) -> Tensor:
    """Draw affine matrices ``(batch, 2, 3)``: rotation, scale and shear; translation in half image sizes."""
    numbers = draws(5, images, shard) * 2 - 1
    angle = numbers[0] * math.radians(affine.degrees)
    size = 1 + numbers[1] * affine.scale
    shear = numbers[2] * affine.shear
    cosine, sine = torch.cos(angle) * size, torch.sin(angle) * size
    mirror = _mirrors(images, affine, shard)
    rows = (
        (cosine * mirror, cosine * shear - sine, 2 * affine.translate * numbers[3]),
        (sine * mirror, sine * shear + cosine, 2 * affine.translate * numbers[4]),
    )
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def _mirrors(images: Tensor, affine: Affine, shard: Shard | None) -> Tensor:
    """Draw ``(batch,)``: -1 for flipped images, 1 for the others; without flips no number is drawn."""
    if not affine.flip:
        return torch.ones(len(images), device=images.device)
    return 1.0 - 2.0 * (draws(1, images, shard)[0] < affine.flip)
