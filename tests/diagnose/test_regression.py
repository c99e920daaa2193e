"""A supernet of numbers is diagnosed by its loss, negated so that higher is better."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset

from nasformer.architecture import Architecture
from nasformer.data import Dataset
from nasformer.diagnose import Plan, diagnose
from nasformer.report import write_diagnosis_report
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.tasks import get_task
from nasformer.training import Recipe, evaluate
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
    recipe = Recipe(epochs=1, batch_size=16, warmup_epochs=0, mixup=0, cutmix=0, label_smoothing=0).to_dict()
    pieces = ("images", "curse", "fidelity")
    plan = Plan(recipe, recipe, recipe, architectures=3, finetuned=2, pool=4, search_images=32, pieces=pieces)
    torch.set_num_threads(1)
    found = diagnose(net, data, plan, tmp_path, device="cpu", progress=False)["pieces"]
    for row in found["fidelity"]["architectures"]:
        loss = evaluate(net, data.test, Architecture.from_dict(row["architecture"]), task=data.task).loss
        assert row["inherited"] == pytest.approx(-loss, rel=1e-4)
        assert row["retrained"] < 0
        assert "inherited_loss" not in row
    assert set(found["images"]["rows"][0]) == {"images", "loss", "mae"}
    whole = json.loads((tmp_path / "diagnosis.json").read_text())
    assert whole["claims"][0]["here"].startswith("retrained − inherited")
    assert "points" not in whole["claims"][0]["here"]
    text = read(write_diagnosis_report(tmp_path / "page", whole)).text
    assert f"{found['fidelity']['architectures'][0]['inherited']:.4f}" in text
    assert "by loss by mae" in text
    assert "accuracy" not in text.replace("ImageNet accuracy", "")
