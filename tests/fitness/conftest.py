"""The digits space, a random supernet of it with its images, and tables of made-up accuracies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nasformer.architecture import Architecture
from nasformer.data import Dataset, load_dataset
from nasformer.space import SearchSpace, load_space
from nasformer.supernet import Supernet

Rows = list[dict[str, object]]


@pytest.fixture
def space() -> SearchSpace:
    return load_space("digits")


@pytest.fixture
def net(space: SearchSpace) -> Supernet:
    return Supernet(space, seed=1)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture
def additive() -> Callable[[Architecture], float]:
    """An additive value of every dimension: what a ridge regression can learn exactly."""

    def value(architecture: Architecture) -> float:
        heads = sum((1 + layer) * count for layer, count in enumerate(architecture.num_heads))
        ratios = sum((3 - layer) * (2 - ratio) ** 2 for layer, ratio in enumerate(architecture.mlp_ratio))
        return {32: 0.0, 48: 9.0, 64: 4.0}[architecture.embed_dim] - 2 * architecture.depth + heads - ratios

    return value


@pytest.fixture
def rows(space: SearchSpace, additive: Callable[[Architecture], float]) -> Rows:
    drawn = dict.fromkeys(space.sample(120, seed=5))
    return [{**a.to_dict(), "top1": additive(a), "loss": 0.5} for a in drawn]


@pytest.fixture
def table(rows: Rows, tmp_path: Path) -> Path:
    path = tmp_path / "table.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
