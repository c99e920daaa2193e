"""A tiny problem to train on: which corner of the image is bright."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import TensorDataset

from nasformer.data import Dataset
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.training import Recipe


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def space() -> SearchSpace:
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
        num_classes=4,
        max_distance=1,
    )


def corners(n: int, seed: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 4
    images = 0.3 * torch.randn(n, 1, 4, 4, generator=generator)
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = divmod(label, 2)
        image[0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] += 1
    return TensorDataset(images, labels)


@pytest.fixture
def data() -> Dataset:
    return Dataset(train=corners(72, 0), search=corners(32, 1), test=corners(32, 2), name="corners")


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(
        epochs=4,
        batch_size=16,
        learning_rate=5e-3,
        warmup_epochs=1,
        mixup=0.2,
        cutmix=0.5,
        mix_probability=0.5,
        drop_path=0.1,
        affine={"degrees": 5, "translate": 0.05},
        grad_clip=1.0,
        seed=1,
    )
