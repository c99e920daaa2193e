"""Folders, spaces and classes with names that are markup, control characters or not UTF-8."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Command = Callable[..., Any]

ODD = "[red]:cat:\x1b[31m\x07"
SHOWN = r"[red]:cat:\u001b[31m\u0007"
BYTES = os.fsdecode(b"\xff") + ODD
SPACE = {"embed_dim": 16, "depth": {"choice": [1, 2]}, "num_heads": 2, "mlp_ratio": {"per_layer": [1, 2]}}
SHAPE = {"head_dim": 8, "num_classes": 2, "image_size": 16, "patch_size": 8, "in_channels": 3}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Images of two classes, and ``space.json`` beside them; all have odd names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    noise = np.random.default_rng(0)
    for place in [(part, kind) for part in ("train", "test") for kind in (ODD, "b")]:
        folder = Path(BYTES, *place)
        folder.mkdir(parents=True)
        for number in range(20):
            Image.fromarray(noise.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    Path("space.json").write_text(json.dumps({"name": BYTES, **SPACE, **SHAPE}))
    return f"imagefolder:{BYTES}"


@pytest.fixture
def ran(nasformer: Command) -> Callable[..., str]:
    """Run a command, and check that it prints no control character."""

    def run(*arguments: object) -> str:
        code, out, err = nasformer(*arguments)
        assert code == 0, err
        assert all(character.isprintable() or character == "\n" for character in out + err)
        return str(out)

    return run


def test_names_are_printed_as_they_are_and_written_to_files(ran: Callable[..., str], data: str) -> None:
    out = f"out {BYTES}"
    assert rf"training \udcff{SHOWN} on imagefolder:{Path.cwd()}/\udcff{SHOWN}" in ran(
        *("train", "space.json", "--data", data, "--epochs", 1, "--out", f"{out}/net")
    )
    search = ("search", "space.json", "--strategy", "random", "-n", 2, "--out", f"{out}/run")
    assert rf"next: nasformer evaluate out \udcff{SHOWN}/run" in ran(*search)
    assert json.loads(ran(*search, "--json"))["result"] == f"{out}/run/result.jsonl"
    assert rf"\udcff{SHOWN}-random-seed0" in ran("study", "best", "--storage", f"{out}/run/study.log")
    assert rf"random on \udcff{SHOWN}" in Path(out, "run", "report.html").read_text()


@pytest.mark.slow
def test_names_of_classes_in_reports_cards_and_predictions(ran: Callable[..., str], data: str) -> None:
    ran("train", "space.json", "--data", data, "--epochs", 1, "--out", "net")
    ran("finetune", "space.json", "--epochs", 1, "--out", ODD)
    assert SHOWN in Path(ODD, "report.html").read_text()
    ran("export", ODD, "--out", "model")
    assert rf"\udcff{SHOWN}" in Path("model", "README.md").read_text()
    assert SHOWN in ran("predict", "model", Path(BYTES, "test", "b", "0.png"))


def test_names_in_a_comparison(nasformer: Command, data: str) -> None:
    Path("space.json").rename(f"{BYTES}.json")
    task = ("compare", "--space", f"{BYTES}.json", "--fitness", "training-free", "-s", "random", "--seeds", 1)
    code, out, err = nasformer(*task, "-n", 2, "--workers", 1, "--out", BYTES, "--format", "markdown")
    assert code == 0, err
    assert rf"\udcff{SHOWN}" in out
    assert "\x1b" not in out + err


def test_names_in_errors_and_logs(nasformer: Command, data: str, refused: Callable[..., None]) -> None:
    refused(r"\\udcff\[red\]:cat:\\u001b\[31m\\u0007", "predict", BYTES, "image.png")
