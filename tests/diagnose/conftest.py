"""A tiny problem, a supernet that was trained on it for a moment, and its diagnosis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks._equal_compute import PIECES, EqualComputePlan
from nasformer.data import Dataset
from nasformer.diagnose import Plan, diagnose, intervals
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.supernet import Supernet
from nasformer.training import Recipe, train_supernet
from tests.tiny import corners


@pytest.fixture(scope="package", autouse=True)
def _few_resamples() -> Iterator[None]:
    """Bootstrap less: it would take longer than the trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(intervals, "_RESAMPLES", 200)
        yield


@pytest.fixture(scope="package")
def space() -> SearchSpace:
    """A space whose architectures differ tenfold in size, and in their patches."""
    return SearchSpace(
        "varied",
        embed_dim=choice(8, 16),
        depth=choice(2, 3),
        num_heads=per_layer(2, 4),
        mlp_ratio=per_layer(1, 4),
        patch_size=choice(1, 2),
        head_dim=4,
        image_size=4,
        in_channels=1,
        num_classes=4,
        max_distance=None,
    )


@pytest.fixture(scope="package")
def data() -> Dataset:
    return Dataset(
        train=corners(64, 0, noise=0.5),
        search=corners(64, 1, noise=0.5),
        test=corners(64, 2, noise=0.5),
        name="corners",
    )


@pytest.fixture(scope="package")
def recipe() -> Recipe:
    return Recipe(epochs=3, batch_size=8, learning_rate=1e-2, warmup_epochs=1, mixup=0, cutmix=0, drop_path=0)


@pytest.fixture(scope="package")
def net(space: SearchSpace, data: Dataset, recipe: Recipe) -> Supernet:
    torch.set_num_threads(1)
    net = Supernet(space)
    train_supernet(net, data, recipe, device="cpu", progress=False)
    return net


@pytest.fixture(scope="package")
def plan(recipe: Recipe) -> EqualComputePlan:
    alone = recipe.replace(epochs=2, batch_size=4)
    return EqualComputePlan(
        recipe=alone.to_dict(),
        finetuning=alone.replace(learning_rate=1e-3, warmup_epochs=0).to_dict(),
        budgets=({"macs": 20_000}, {"macs": 40_000}),
        share=0.8,
        architectures=5,
        band=3,
        long=2,
        pool=8,
        search_images=16,
        evaluations=6,
        random=12,
        seeds=2,
        pieces=tuple(PIECES),
    )


@pytest.fixture(scope="package")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("diagnosis")


@pytest.fixture(scope="package")
def found(net: Supernet, data: Dataset, plan: Plan, folder: Path) -> dict[str, Any]:
    return diagnose(net, data, plan, folder, file="supernet.safetensors", device="cpu", progress=False, pieces=PIECES)
