"""``nasformer finetune`` and ``retrain``: from a search to figures, over a kill, and past what does not fit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from nasformer.search import SearchResult
from nasformer.space import load_space
from nasformer.supernet import load_network
from tests.cli.conftest import Command
from tests.report.html import read

Refused = Callable[..., None]
QUICK = ("--epochs", 1, "--device", "cpu", "-q")


def images(folder: str, classes: int) -> str:
    rng = np.random.default_rng(0)
    for part, each in (("train", 8), ("test", 2)):
        for label in range(classes):
            place = Path(folder, part, str(label))
            place.mkdir(parents=True)
            for number in range(each):
                Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(place / f"{number}.png")
    return f"imagefolder:{folder}"


def colour_space() -> str:
    declared = {**load_space("digits").to_dict(), "in_channels": 3}
    Path("colour.yaml").write_text(yaml.safe_dump(declared))
    return "colour.yaml"


def test_the_winner_of_a_search_is_finetuned_and_retrained(nasformer: Command, weights: Path) -> None:
    done = nasformer("search", "digits", "--strategy", "random", "-n", 4, "--out", "run", "-q")
    assert done.code == 0, done.err
    done = nasformer("finetune", "run", *QUICK, "--out", "fine", "--learning-rate", 1e-3)
    assert done.code == 0, done.err
    assert "fine-tuning embed" in done.out
    assert "inherited" in done.out
    fine = json.loads(Path("fine/finetune.json").read_text())
    assert fine["training"]["recipe"]["learning_rate"] == 1e-3
    assert fine["training"]["recipe"]["batch_size"] == 64, "the supernet's recipe"
    assert fine["source"]["weights"].endswith(".safetensors")
    assert len(fine["test"]["per_class"]) == 10
    assert "Report: fine/report.html" in done.out
    page = read(Path("fine/report.html")).text
    assert f"{fine['test']['accuracy']:.2f} %" in page
    assert "nasformer finetune run --epochs 1" in page
    done = nasformer("retrain", "run", *QUICK, "--out", "scratch", "--json")
    assert done.code == 0, done.err
    scratch = json.loads(done.out)
    assert scratch["architecture"] == fine["architecture"]
    assert "before" not in scratch
    assert "trained from scratch on digits for one epoch" in read(Path(scratch["report"])).text
    assert scratch["training"]["data"] == fine["training"]["data"]
    winner = load_network("fine/network.safetensors")
    done = nasformer("finetune", "fine/network.safetensors", *QUICK, "--out", "further", "--freeze", "backbone")
    assert done.code == 0, done.err
    assert torch.equal(load_network("further/network.safetensors").norm.weight, winner.norm.weight)
    once, twice = (json.loads(Path(f"{name}/finetune.json").read_text()) for name in ("fine", "further"))
    rate = "learning_rate"
    assert twice["training"]["recipe"][rate] == once["training"]["recipe"][rate], "no tenth of a tenth"


def test_other_classes_another_resolution_and_a_teacher(nasformer: Command, weights: Path) -> None:
    space, data = colour_space(), images("pets", 3)
    recipe = {"epochs": 1, "warmup_epochs": 0, "batch_size": 6, "mixup": 0, "cutmix": 0, "class_weights": "balanced"}
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe))
    common = ("--data", data, "--recipe", "recipe.yaml", "--device", "cpu", "-q")
    done = nasformer("retrain", space, "largest", *common, "--out", "teacher")
    assert done.code == 0, done.err
    arguments = ("--image-size", 16, "--teacher", "teacher/network.safetensors", "--out", "pupil")
    done = nasformer("finetune", "teacher/network.safetensors", *common, *arguments)
    assert done.code == 0, done.err
    pupil = load_network("pupil/network.safetensors")
    assert (pupil.geometry.image_size, pupil.geometry.max_distance, pupil.geometry.num_classes) == (16, 7, 3)
    assert json.loads(Path("pupil/finetune.json").read_text())["teacher"]


def test_what_does_not_fit_is_one_line(nasformer: Command, refused: Refused, weights: Path) -> None:
    data = images("pets", 3)
    refused("freeze is 'nothing' or 'backbone', got 'all'", "finetune", "digits", "--freeze", "all", *QUICK)
    refused("cifar10 is read from files; give root", "finetune", "digits", "--data", "cifar10", *QUICK)
    refused("images of 'digits' are 8 pixels wide, not 16", "finetune", "digits", "--image-size", 16, *QUICK)
    refused("no trained weights for space 'fashion-mnist'", "finetune", "fashion-mnist", *QUICK)
    refused("belongs to another space", "finetune", "fashion-mnist", "--supernet", weights, *QUICK)
    refused("holds a supernet, not a network", "finetune", weights, *QUICK)
    refused("timm has no model 'resnot'", "finetune", "digits", "--teacher", "timm:resnot", *QUICK)
    refused("--teacher-weights x.pt needs --teacher timm:NAME", "finetune", "digits", "--teacher-weights", "x.pt")
    refused("a network with its own architecture, got also 'largest'", "finetune", "n.safetensors", "largest", *QUICK)
    done = nasformer("retrain", colour_space(), "smallest", "--data", data, *QUICK, "--out", "x")
    assert done.code == 0, "a batch of 1024 is cut to the few images"
    Path("r.yaml").write_text(yaml.safe_dump({"epochs": 1, "warmup_epochs": 0, "class_weights": [1.0, 2.0]}))
    refused("class_weights has 2 weights, but the data 10", "retrain", "digits", "--recipe", "r.yaml")
    Path("r.yaml").write_text(yaml.safe_dump({"epochs": 1, "warmup_epochs": 0, "batch_size": 6}))
    options = ("--data", data, "--recipe", "r.yaml", "--device", "cpu", "-q", "--out", "three")
    assert nasformer("retrain", "colour.yaml", "smallest", *options).code == 0
    teach = ("--teacher", "three/network.safetensors")
    refused("the teacher (has 3 classes|does not accept)", "finetune", "digits", *teach, *QUICK)
    again = (*options, "--resume")
    refused(
        "three/training.pt belongs to another training: network.depth 2 there, 4 here", "retrain", "colour.yaml", *again
    )


@pytest.mark.slow
@pytest.mark.parametrize("command", ["finetune", "retrain"])
def test_a_kill_in_the_middle_changes_nothing(command: str, program: str, weights: Path) -> None:
    recipe: dict[str, Any] = {"epochs": 40, "warmup_epochs": 1, "batch_size": 64, "mixup": 0.2, "cutmix": 0.2}
    Path("r.yaml").write_text(yaml.safe_dump({**recipe, "ema_decay": 0.9, "repeated_augmentation": 3}))
    typed = [program, command, "digits", "centroid", "--recipe", "r.yaml", "--device", "cpu", "-q", "--out"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*typed, "whole"], check=True, env=environment, capture_output=True)
    victim = subprocess.Popen([*typed, "killed"], env=environment, stdout=subprocess.DEVNULL)
    log = Path("killed/log.jsonl")
    while victim.poll() is None and (not log.exists() or len(log.read_text().splitlines()) < 5):
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    subprocess.run([*typed, "killed", "--resume"], check=True, env=environment, capture_output=True)
    first, second = (load_network(f"{name}/network.safetensors").state_dict() for name in ("whole", "killed"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_search_goes_on_with_the_weights_and_the_splits_that_it_used(
    nasformer: Command, refused: Refused, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its supernet is found beside one of other splits; another in its place is not taken unasked, and what ranked the
    winner does not test it."""
    shutil.copytree(trained / "home", tmp_path / "home")
    monkeypatch.setenv("NASFORMER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    done = nasformer("search", "digits", "--strategy", "random", "-n", 3, "--out", "run", "--storage", "s.log", "-q")
    assert done.code == 0, done.err
    other = ("train", "digits", "--epochs", 1, "--device", "cpu", "-q", "--out")
    assert nasformer(*other, "seed-1", "--seed", 1).code == 0
    for target in ("run", "s.log"):
        done = nasformer("finetune", target, *QUICK, "--out", f"of-{target}")
        assert done.code == 0, done.err
    assert nasformer(*other, "other").code == 0
    for target in ("run", "s.log"):
        refused(
            "the search used the weights .* of .*, which has others by now; give its supernet with --supernet FILE",
            "finetune",
            target,
            *QUICK,
        )
    refused("nope", "finetune", "s.log", "--study", "nope", *QUICK)
    done = nasformer("finetune", "run", "--supernet", "other/supernet.safetensors", *QUICK, "--out", "asked")
    assert done.code == 0, done.err
    newest = json.loads(nasformer("weights", "--json").out)[0]
    assert nasformer("weights", "remove", newest["id"]).code == 0
    done = nasformer("retrain", "run", *QUICK, "--out", "scratch")
    assert done.code == 0, done.err
    scratch = json.loads(Path("scratch/retrain.json").read_text())["training"]["data"]["fingerprint"]
    assert scratch == SearchResult.load("run/result.jsonl").settings["fitness"]["data"]["fingerprint"]
