"""The task of docs/how-to/own-task.md is run: trained, searched, fine-tuned, and put to the shipped suite."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import TensorDataset

from nasformer.data import Dataset
from nasformer.errors import DataError
from nasformer.fitness import InheritedFitness
from nasformer.supernet import Supernet

ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def blocks(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The file of the task, which is written, the program, and the test."""
    torch.set_num_threads(1)
    found = BLOCK.findall((root / "docs" / "how-to" / "own-task.md").read_text())
    (tmp_path / "counting.py").write_text(found[0])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "counting", raising=False)
    return found[1:]


def test_the_task_of_the_page_learns(blocks: list[str], tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(compile(blocks[0], "tasks.md", "exec"), names)
    figures, data = names["tuned"].figures["test"], names["data"]
    bright = data.test.labels
    of_the_mean = float((bright - data.task.mean).abs().mean())
    assert figures["mae"] < 0.8 * of_the_mean
    assert figures["d2"] > 0.3
    result = names["result"]
    assert -result.best.fitness < 0.8 * of_the_mean
    assert any(trial.dropped for trial in result.trials)
    path = names["supernet"].save(tmp_path / "net.safetensors", names["supernet"].metadata)
    again = InheritedFitness(Supernet.load(path), data.search, device="cpu", objective="mae")
    assert again.task == data.task
    with pytest.raises(DataError, match=r"'bright pixels': the search count 0 is 0\.5; counts are 0, 1, 2, …"):
        Dataset(
            train=data.train,
            search=TensorDataset(data.search.images, bright[:300] * 0 + 0.5),
            test=data.test,
            name=data.name,
            task=data.task,
        )


def test_the_task_of_the_page_conforms(blocks: list[str], tmp_path: Path) -> None:
    (tmp_path / "test_counting.py").write_text(f"from counting import Counting\n{blocks[1]}")
    command = [sys.executable, "-m", "pytest", "-q", "test_counting.py"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout
