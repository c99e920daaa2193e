"""A supernet of numbers is diagnosed by its loss, negated so that higher is better."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from nasformer.architecture import Architecture
from nasformer.data import Dataset
from nasformer.diagnose import Plan, diagnose, write_diagnosis_report
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.tasks import get_task
from nasformer.training import Recipe, evaluate, train_supernet
from tests.report.html import read
from tests.tiny import corners, tiny_space


def ages(count: int, seed: int) -> TensorDataset:
    images, labels = corners(count, seed).tensors
    return TensorDataset(images, 20 + 3 * labels[:, None].float())


@pytest.fixture
def data() -> Dataset:
    splits = {name: ages(64, seed) for seed, name in enumerate(("train", "search", "test"))}
    task = get_task("regression").fit(splits["train"].tensors[1].numpy(), ("age",))
    return Dataset(train=splits["train"], search=splits["search"], test=splits["test"], task=task, name="ages")


def test_a_regression_is_diagnosed(data: Dataset, tmp_path: Path) -> None:
    space = SearchSpace.from_dict({**tiny_space().to_dict(), "num_classes": 1})
    net = Supernet(space)
    made = Recipe(epochs=1, batch_size=16, warmup_epochs=0, mixup=0, cutmix=0, label_smoothing=0)
    train_supernet(net, data, made, device="cpu", progress=False)
    recipe = made.to_dict()
    sizes: dict[str, Any] = {"architectures": 3, "band": 0, "long": 2, "pool": 4, "search_images": 32}
    plan = Plan(recipe, ({"macs": space.macs(space.largest)},), pieces=("images", "fidelity"), **sizes)
    torch.set_num_threads(1)
    found = diagnose(net, data, plan, tmp_path, device="cpu", progress=False)["pieces"]
    (whole,) = found["fidelity"]["parts"]
    for row in whole["rows"]:
        loss = evaluate(net, data.test, Architecture.from_dict(row["architecture"]), task=data.task).loss
        assert row["inherited"] == row["ranking"] == pytest.approx(-loss, rel=1e-4)
        assert row["retrained"] < 0
    assert set(found["images"]["rows"][0]) == {"images", "loss", "mae"}
    told = json.loads((tmp_path / "diagnosis.json").read_text())
    assert told["claims"][-1]["claim"] == "gap"
    text = read(write_diagnosis_report(tmp_path / "page", told)).text
    assert f"{whole['rows'][0]['inherited']:.4f}" in text
    assert "by loss by mae" in text
    assert "retrained − inherited" in text
    assert "points" not in text
    assert "accuracy" not in text
