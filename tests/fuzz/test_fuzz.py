"""Changed files of every kind that is read end as a value or one line: no traceback, hang, abort, or gigabyte."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is limited as Linux tells it")


def fuzz(root: Path, folder: Path, inputs: int, first: int) -> None:
    """Read changed files in a process of its own; a failure names target and number."""
    command = [sys.executable, "-m", "tests.fuzz.run", str(inputs), str(first)]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    last = (folder / "last-input").read_text() if (folder / "last-input").exists() else "none"
    assert done.returncode == 0, f"ended by {done.returncode} at input {last}: {done.stderr[-2000:]}"
    assert not done.stdout, done.stdout[:5000]


def test_some_changed_files(root: Path, tmp_path: Path) -> None:
    fuzz(root, tmp_path, 300, 0)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_many_changed_files(part: int, root: Path, tmp_path: Path) -> None:
    fuzz(root, tmp_path, 10_000, 1000 + 10_000 * part)
