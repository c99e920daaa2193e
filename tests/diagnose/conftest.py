"""A tiny problem, a supernet that was trained on it for a moment, and its diagnosis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from nasformer.data import Dataset
from nasformer.diagnose import Plan, diagnose
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.supernet import Supernet
from nasformer.training import Recipe, train_supernet


def corners(count: int, seed: int) -> TensorDataset:
    """Return images of which one corner is a little brighter, with the corner's number."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 4
    images = torch.randn(count, 1, 4, 4, generator=generator)
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = divmod(label, 2)
        image[0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] += 1
    return TensorDataset(images, labels)


@pytest.fixture(scope="package")
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


@pytest.fixture(scope="package")
def data() -> Dataset:
    return Dataset(train=corners(96, 0), search=corners(64, 1), test=corners(64, 2), name="corners")


@pytest.fixture(scope="package")
def recipe() -> Recipe:
    return Recipe(epochs=3, batch_size=16, learning_rate=5e-3, warmup_epochs=1, mixup=0, cutmix=0, drop_path=0)


@pytest.fixture(scope="package")
def net(space: SearchSpace, data: Dataset, recipe: Recipe) -> Supernet:
    torch.set_num_threads(1)
    net = Supernet(space)
    train_supernet(net, data, recipe, device="cpu", progress=False)
    return net


@pytest.fixture(scope="package")
def plan(recipe: Recipe) -> Plan:
    return Plan(
        recipe=recipe.to_dict(),
        finetuning=recipe.replace(epochs=1, warmup_epochs=0, learning_rate=5e-4).to_dict(),
        sharing=recipe.replace(epochs=2).to_dict(),
        budget={"params": 5000},
        architectures=5,
        finetuned=3,
        pool=8,
        search_images=32,
        evaluations=6,
        searches=3,
        retrainings=2,
    )


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("diagnosis")


@pytest.fixture(scope="package")
def found(net: Supernet, data: Dataset, plan: Plan, folder: Path) -> dict[str, Any]:
    return diagnose(net, data, plan, folder, file="supernet.safetensors", device="cpu", progress=False)
