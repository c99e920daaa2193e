"""A tiny problem to train on: which corner of the image is bright."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nasformer.data import Dataset
from nasformer.space import SearchSpace
from nasformer.training import Recipe
from tests.tiny import corners, tiny_space


class Stop:
    """Raises KeyboardInterrupt at the end of an epoch, before its checkpoint."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def __call__(self, row: dict[str, Any]) -> None:
        if row["epoch"] == self.epoch:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def space() -> SearchSpace:
    return tiny_space()


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
