"""The steps of docs/how-to/step-by-step.md are run, command by command, on fewer images and for fewer epochs."""

from __future__ import annotations

import gzip
import re
import shlex
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.datasets import load_digits

from nasformer.cli import run
from nasformer.data import fashion_mnist

SHORTER = {
    "--evaluations 100": "--evaluations 6",
    "--epochs 4": "--epochs 2",
    "--strategy thompson": "--strategy random",
}
WITH_A_BAR = ("train", "search", "finetune", "retrain")
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the kind and the text of each block that a reader would type."""
    yield from BLOCK.findall((root / "docs" / "how-to" / "step-by-step.md").read_text())


def write_images(folder: Path) -> None:
    """Write digits as Fashion-MNIST's files, so that the walk runs where its images are not installed."""
    digits = load_digits()
    images = np.kron(digits.images, np.ones((3, 3)))  # 24 x 24
    grey = np.pad(images * 15, ((0, 0), (2, 2), (2, 2))).astype(np.uint8)
    labels = digits.target.astype(np.uint8)
    for name, part in (("train", slice(0, 600)), ("t10k", slice(600, 700))):
        header = struct.pack(">HBBIII", 0, 8, 3, len(grey[part]), 28, 28)
        (folder / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + grey[part].tobytes()))
        header = struct.pack(">HBBI", 0, 8, 1, len(labels[part]))
        (folder / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(header + labels[part].tobytes()))


def write_recipes(root: Path, folder: Path) -> None:
    """Write the kept recipes, shorter."""
    folder.mkdir(parents=True)
    for path in (root / "benchmarks" / "recipes").glob("*.yaml"):
        recipe = yaml.safe_load(path.read_text())
        (folder / path.name).write_text(yaml.safe_dump({**recipe, "epochs": 1, "warmup_epochs": 0}))


def test_the_walk(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxscript", reason="pip install 'nasformer[onnx]'")
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NASFORMER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path)
    write_images(tmp_path)
    write_recipes(root, tmp_path / "benchmarks" / "recipes")
    done = []
    for kind, text in blocks(root):
        if kind == "python":
            exec(compile(text, "walk.md", "exec"), {})
            continue
        for line in text.splitlines():
            for long, short in SHORTER.items():
                line = line.replace(long, short)
            program, *arguments = shlex.split(line)
            assert program == "nasformer"
            code = run([*arguments, *(["--quiet"] if arguments[0] in WITH_A_BAR else [])])
            printed = capsys.readouterr()
            assert code == 0, f"{line}: {printed.err}"
            done.append(arguments[0])
    assert {"train", "search", "evaluate", "finetune", "retrain", "export", "predict", "benchmark"} == set(done)
    for page in ("finetuned", "distilled", "retrained"):
        assert (tmp_path / "runs" / "fashion" / page / "report.html").exists()
    assert (tmp_path / "runs" / "fashion" / "onnx" / "model.onnx").exists()
