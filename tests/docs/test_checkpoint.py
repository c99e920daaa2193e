"""The page from a checkpoint to a file is run, command by command, on a small model, few images and short trainings."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from nasformer.cli import run
from nasformer.search import SearchResult
from nasformer.space import load_space

SIZES: dict[str, Any] = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "num_heads": 3, "depth": 2}
SHORTER = {
    "deit_small_patch16_224": f"deit_small_patch16_224 {' '.join(f'-o {key}={size}' for key, size in SIZES.items())}",
    "--evaluations 200": "--evaluations 12",
    "--epochs 5": "--epochs 1",
    "nasformer latency": "nasformer latency --repeats 3 --max-spread inf",
}
BUDGETS = {"--latency 8": "latency_ms", "--params 11M": "params"}
WITH_A_BAR = ("from-timm", "train", "search", "finetune")


def write_photos(folder: Path) -> None:
    """Write images of two classes, 40 each."""
    generator = np.random.default_rng(0)
    for label, low in (("bright", 100), ("dark", 0)):
        (folder / label).mkdir(parents=True)
        for number in range(40):
            pixels = generator.integers(low, low + 156, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")


def within_reach(line: str) -> str:
    """Return a command with a budget of the small model in place of the page's."""
    for given, cost in BUDGETS.items():
        if given in line:
            space = load_space("runs/deit/space.yaml")
            if cost == "latency_ms":
                from nasformer.cost import LatencyTable

                space = space.with_cost(LatencyTable.load("runs/deit/latency.json").cost())
            most = 0.7 * float(space.costs(space.largest)[cost])
            line = line.replace(given, f"{given.split()[0]} {most:.6g}")
    return line


def test_the_page(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript", reason="pip install 'nasformer[onnx]'")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "PHOTOS")
    model = timm.create_model("deit_small_patch16_224", **SIZES, num_classes=2)
    save_file(model.state_dict(), tmp_path / "deit_small.safetensors")
    text = (root / "docs" / "tutorials" / "checkpoint.md").read_text()
    done = []
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        for line in block.splitlines():
            for long, short in SHORTER.items():
                line = line.replace(long, short)
            program, *arguments = shlex.split(within_reach(line))
            assert program == "nasformer"
            code = run([*arguments, *(["--quiet"] if arguments[0] in WITH_A_BAR else [])])
            printed = capsys.readouterr()
            assert code == 0, f"{line}: {printed.err}"
            done.append(arguments[0])
    assert {"from-timm", "latency", "search", "finetune", "export", "benchmark", "train"} == set(done)
    assert (tmp_path / "runs" / "deit" / "onnx" / "model.onnx").exists()
    small = SearchResult.load(tmp_path / "runs" / "deit" / "small" / "result.jsonl")
    assert small.best.params < small.space.params(small.space.largest)
