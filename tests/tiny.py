"""A problem small enough to train on in a moment: which corner of an image is bright."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.data import TensorDataset

from nasformer.data import Dataset
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.tasks import get_task


def tiny_space(outputs: int = 4) -> SearchSpace:
    """Return a space for the images of ``corners``."""
    return SearchSpace(
        "tiny",
        embed_dim=choice(8, 16),
        depth=choice(1, 2),
        num_heads=per_layer(1, 2),
        mlp_ratio=per_layer(1, 2),
        head_dim=8,
        image_size=4,
        patch_size=2,
        in_channels=1,
        num_classes=outputs,
        max_distance=1,
    )


def corners(count: int, seed: int, *, noise: float = 0.3) -> TensorDataset:
    """Return images of which one corner is a little brighter, with the corner's number."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    images = noise * torch.randn(count, 1, 4, 4, generator=generator)
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = divmod(label, 2)
        image[0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] += 1
    return TensorDataset(images, labels)


def brightness(dataset: Dataset) -> Dataset:
    """Return the images of a dataset, of which mean and maximum are to be told: a regression."""
    parts: tuple[Any, ...] = (dataset.train, dataset.search, dataset.test)
    splits = [(part.images, _brightness(part.images)) for part in parts]
    task = get_task("regression").fit(splits[0][1].numpy(), ("mean", "maximum"), criterion="smooth_l1")
    train, search, test = (TensorDataset(*split) for split in splits)
    return Dataset(train=train, search=search, test=test, name=f"brightness of {dataset.name}", task=task)


def _brightness(images: torch.Tensor) -> torch.Tensor:
    return torch.stack([images.mean(dim=(1, 2, 3)), images.amax(dim=(1, 2, 3))], dim=1)
