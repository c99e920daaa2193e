"""A tiny problem, a supernet that was trained on it for a moment, and its diagnosis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nasformer.data import Dataset
from nasformer.diagnose import Plan, diagnose
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.training import Recipe, train_supernet
from tests.tiny import corners, tiny_space


@pytest.fixture(scope="package")
def space() -> SearchSpace:
    return tiny_space()


@pytest.fixture(scope="package")
def data() -> Dataset:
    return Dataset(
        train=corners(96, 0, noise=1), search=corners(64, 1, noise=1), test=corners(64, 2, noise=1), name="corners"
    )


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
        final=recipe.replace(epochs=4).to_dict(),
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
