"""A search whose processes are killed (SIGKILL) at random moments ends as one that was never interrupted."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.search import sitting

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends SIGKILL")


class SearchProcesses:
    """Processes that run one search, started again when they are killed."""

    def __init__(self, workers: int, arguments: list[str], root: Path) -> None:
        self.arguments, self.root = arguments, root
        self.processes = [self._start() for _ in range(workers)]

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.search.sitting", *self.arguments]
        return subprocess.Popen(command, cwd=self.root, stderr=subprocess.PIPE, text=True)

    def kill(self, index: int) -> bool:
        """Kill one and start another in its place; False where it has ended by itself."""
        process = self.processes[index]
        if process.poll() is not None:
            return False
        process.kill()
        process.communicate()
        self.processes[index] = self._start()
        return True

    def finish(self) -> None:
        for process in self.processes:
            _, error = process.communicate(timeout=1800)
            assert process.returncode == 0, error


def lines(notes: Path) -> int:
    return notes.read_text().count("\n") if notes.exists() else 0


def wait_for(notes: Path, number: int) -> None:
    deadline = time.monotonic() + 300
    while lines(notes) < number and time.monotonic() < deadline:
        time.sleep(0.01)


def survive(url: str, root: Path, notes: Path, *, workers: int, kills: int, evaluations: int, strategy: str) -> None:
    """Kill so many times, let the search end, and compare it with one in this process, in memory."""
    run = {"batch_size": 6, "evaluations": evaluations}
    processes = SearchProcesses(workers, [url, strategy, "6", str(evaluations), "0.15", str(notes)], root)
    rng = random.Random(f"{workers} {kills}")
    for number in range(kills):
        wait_for(notes, lines(notes) + rng.randrange(3) + (number == 0))
        time.sleep(rng.choice([0.0, 0.1, 0.8]) * rng.random())
        assert processes.kill(rng.randrange(workers)), f"the search ended after {number} kills: make it longer"
    processes.finish()
    plain = sitting.search(None, strategy, **run)
    idle = notes.with_name("idle")
    again = sitting.search(url, strategy, sitting.Noted(notes=idle), **run)
    assert sitting.what(again.trials) == sitting.what(plain.trials)
    assert sitting.what(again.confirmed) == sitting.what(plain.confirmed)
    assert not idle.exists(), "nothing was left to evaluate"
    evaluated = Counter(notes.read_text().splitlines())
    assert set(evaluated) == {str(trial.architecture) for trial in plain.trials}
    # An evaluation is made twice only where its process was killed before it had told it.
    assert evaluated.total() - evaluations <= kills


def test_a_search_of_two_processes_survives_some_kills(url: str, root: Path, tmp_path: Path) -> None:
    survive(url, root, tmp_path / "notes", workers=2, kills=2, evaluations=24, strategy="evolution")


def test_a_search_of_one_process_survives_some_kills(root: Path, tmp_path: Path) -> None:
    survive(str(tmp_path / "study.log"), root, tmp_path / "notes", workers=1, kills=2, evaluations=12, strategy="tpe")


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_search_survives_50_kills(url: str, workers: int, root: Path, tmp_path: Path) -> None:
    survive(url, root, tmp_path / "notes", workers=workers, kills=50, evaluations=300 * workers, strategy="tpe")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", sitting.STRATEGIES)
def test_every_strategy_survives_kills_in_two_processes(strategy: str, root: Path, tmp_path: Path) -> None:
    survive(
        str(tmp_path / "study.log"), root, tmp_path / "notes", workers=2, kills=3, evaluations=40, strategy=strategy
    )
