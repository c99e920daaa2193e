"""fit: from a folder of photos and budgets to files, also when it is stopped in any stage."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

import nasformer as nf
from nasformer.cli import run as command
from nasformer.errors import BudgetError, NasformerError
from nasformer.export import open_model
from nasformer.latency.memory import peak_activation_bytes, weight_bytes
from nasformer.pipeline.commands import commands
from nasformer.pipeline.space import space_for
from nasformer.supernet import load_network

SPACE = """
name: small
embed_dim: {choice: [16, 32]}
depth: {choice: [1, 2]}
num_heads: {per_layer: [0, 1, 2]}
mlp_ratio: {per_layer: [0, 1, 2]}
patch_size: {choice: [4, 8]}
head_dim: 16
image_size: 16
in_channels: 3
num_classes: 2
max_distance: null
"""
MODEL = "vit_base_patch16_clip_224"
OPTIONS: dict[str, Any] = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "num_heads": 3, "depth": 2}
HOURS = 0.004
BUDGETS = (60_000, 300_000)
STAGES = ("size", "data", "space", "training", "supernet", "search", "networks", "files")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, generator = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for label, low in (("bright", 150), ("dark", 0)):
        (folder / label).mkdir()
        for number in range(40):
            pixels = generator.integers(low, low + 100, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def how(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    space = tmp_path_factory.mktemp("space") / "small.yaml"
    space.write_text(SPACE)
    known: dict[str, Any] = {"space": space, "image_size": 16, "hours": HOURS, "evaluations": 8, "macs": BUDGETS}
    return {**known, "device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def run(photos: Path, how: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, list[str]]:
    lines: list[str] = []
    return nf.fit(photos, out=tmp_path_factory.mktemp("run"), say=lines.append, **how), lines


def test_there_is_a_file_for_each_budget(run: Any, photos: Path) -> None:
    result, _ = run
    assert [model.budget for model in result.models] == [{"macs": most} for most in BUDGETS]
    for model, most in zip(result.models, BUDGETS, strict=True):
        assert model.costs["macs"] <= most
        assert model.test["accuracy"] > 90
        assert model.bytes == model.file.stat().st_size
        opened = open_model(model.folder)
        steps = opened.description.preprocessing
        assert steps is not None
        (found,) = opened.predictions(np.stack([steps.read(photos / "dark" / "0.png")]), 1)
        assert found["classes"][0]["class"] == "dark"
    assert "Vision transformers for" in result.page.read_text()
    assert [point["macs"] for point in result.front] == sorted({model.costs["macs"] for model in result.models})


def test_each_stage_says_what_it_decided(run: Any) -> None:
    result, lines = run
    assert [line.split()[0] for line in lines] == list(STAGES)
    assert "80" in lines[1] or "48 train" in lines[1]
    known = json.loads((result.folder / "fit.json").read_text())
    assert list(known["stages"]) == list(STAGES)


def test_the_folder_works_with_each_command(run: Any, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, _ = run
    told = {}
    for name in ("networks/1", f"models/macs-{BUDGETS[0]}"):
        assert command(["evaluate", str(result.folder / name), "--json"]) == 0
        told[name] = json.loads(capsys.readouterr().out)
    trained, exported = told.values()
    network = load_network(result.folder / "networks" / "1" / "network.safetensors")
    assert trained["architecture"] == network.architecture.to_dict()
    assert trained["accuracy"] == exported["accuracy"] == result.models[0].test["accuracy"]
    assert exported["split"] == "test"
    assert command(["predict", str(result.models[0].folder), str(photos / "dark" / "3.png"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["classes"][0]["class"] == "dark"


def test_other_labelled_images_are_all_evaluated(
    run: Any, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result, _ = run
    for label in ("bright", "dark"):
        (tmp_path / label).mkdir()
        for number in range(10):
            (tmp_path / label / f"{number}.png").write_bytes((photos / label / f"{number}.png").read_bytes())
    for model in (result.folder / "networks" / "1", result.models[0].folder):
        assert command(["evaluate", str(model), "--data", str(tmp_path), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["split"], told["images"]) == ("all", 20)
        assert [len(row) for row in told["confusion"]] == [2, 2]


def test_a_run_of_several_networks_asks_which(run: Any, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result, _ = run
    for name, *more in (["predict", str(photos)], ["benchmark"], ["evaluate"]):
        assert command([name, str(result.folder), *more]) == 2
        assert f"has 2 networks; give one: {result.folder}" in capsys.readouterr().err


def test_the_commands_are_named(run: Any) -> None:
    result, _ = run
    assert [shlex.split(line)[1] for line in commands(result.folder)] == [
        "data", "train", *("search", "finetune", "export") * 2,
    ]  # fmt: skip


class StoppedError(Exception):
    """A stop in a test."""


def test_a_run_goes_on_after_a_stop_in_every_stage(photos: Path, how: dict[str, Any], tmp_path: Path) -> None:
    known: dict[str, Any] = {}
    for stage in STAGES:

        def stop(line: str, stage: str = stage) -> None:
            if line.startswith(stage):
                raise StoppedError

        with pytest.raises(StoppedError):
            nf.fit(photos, out=tmp_path, say=stop, **how)
        stages = json.loads((tmp_path / "fit.json").read_text())["stages"]
        assert list(stages)[-1] == stage
        assert {name: stages[name] for name in known} == known, "no stage is decided twice"
        known = stages
    result = nf.fit(photos, out=tmp_path, say=lambda line: None, **how)
    assert len(result.models) == 2
    assert result.seconds > 0


def test_a_finished_run_changes_nothing(run: Any, photos: Path, how: dict[str, Any]) -> None:
    result, lines = run
    again: list[str] = []
    other = nf.fit(photos, out=result.folder, say=again.append, **how)
    assert again == lines
    assert [model.architecture for model in other.models] == [model.architecture for model in result.models]


def test_a_folder_of_another_run_is_refused(run: Any, photos: Path, how: dict[str, Any], tmp_path: Path) -> None:
    result, _ = run
    with pytest.raises(NasformerError, match="has a run with seed 0, got 1"):
        nf.fit(photos, out=result.folder, seed=1, **how)
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(NasformerError, match="is not empty"):
        nf.fit(photos, out=tmp_path, **how)


def test_a_budget_is_needed(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="give a budget"):
        nf.fit(photos, out=tmp_path / "run")
    with pytest.raises(BudgetError, match="one may have several values"):
        nf.fit(photos, params=[1, 2], macs=[1, 2], out=tmp_path / "run")


def test_a_checkpoint_becomes_smaller_and_keeps_latency_and_memory(photos: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model: Any = timm.create_model(MODEL, num_classes=2, **OPTIONS)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    lines: list[str] = []
    result = nf.fit(
        photos,
        latency_ms=1000,
        memory=200e3,
        timm=MODEL,
        weights=tmp_path / "model.safetensors",
        timm_options=OPTIONS,
        hours=HOURS,
        evaluations=6,
        format="safetensors",
        out=tmp_path / "run",
        device="cpu",
        progress=False,
        say=lines.append,
    )
    (model,) = result.models
    assert 0 < model.measured_ms <= 1000
    assert model.costs["latency_ms"] <= 1000
    net = load_network(tmp_path / "run" / "networks" / "1" / "network.safetensors")
    assert weight_bytes(net) + peak_activation_bytes(net) <= model.costs["memory"] <= 200e3
    for name, *more in (["predict", str(photos / "dark")], ["evaluate"], ["benchmark", "--repeats", "2"]):
        assert command([name, str(tmp_path / "run"), *more]) == 0
    assert any(line.startswith("latency") for line in lines)
    assert "the largest is the model" in next(line for line in lines if line.startswith("space"))
    assert "latency" in (tmp_path / "run" / "report.html").read_text()


def test_a_space_has_room_for_the_largest_budget() -> None:
    data = nf.load_dataset("digits")
    small, large = (space_for(data, {"macs": most}, "mine") for most in (1e5, 5e7))
    assert small.largest.embed_dim < large.largest.embed_dim
    assert large.macs(large.largest) >= 1.5 * 5e7
    assert small.macs(small.smallest) < 1e5 / 2
