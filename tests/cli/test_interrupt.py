"""A search that is stopped by Ctrl-C or killed keeps its trials, and the same command goes on to the same result."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest

from nasformer.search import SearchResult

EVALUATIONS = 150


def search(program: str, out: str) -> list[str]:
    options = "--fitness training-free --strategy evolution -o population=4 -o parents=2 -o mutants=2 -o crossovers=1"
    return [program, "search", "digits", *options.split(), "-n", str(EVALUATIONS), "--batch-size", "2", "--out", out]


def recorded(log: Path) -> int:
    return log.read_bytes().count(b"nasformer:result") if log.exists() else 0


@pytest.mark.skipif(os.name != "posix", reason="sends signals")
@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, *(pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGINT, signal.SIGKILL))],
    ids=lambda number: number.name,
)
def test_a_stopped_search_goes_on_to_the_same_result(number: signal.Signals, program: str, tmp_path: Path) -> None:
    plain = subprocess.run(search(program, "plain"), cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Traceback" not in plain.stderr
    command, log = search(program, "a run"), tmp_path / "a run" / "study.log"
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while recorded(log) < 4 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    kept = recorded(log)
    assert 4 <= kept < EVALUATIONS, "it was stopped in the middle"
    assert not (tmp_path / "a run" / "result.jsonl").exists()
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert "Traceback" not in err
        line = err.splitlines()[-1]
        assert line.startswith("stopped. All finished trials are in a run/study.log; resume with: nasformer search ")
        command = [program, *shlex.split(line.partition("resume with: ")[2])[1:]]
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "Traceback" not in again.stderr
    first, second = (SearchResult.load(tmp_path / name / "result.jsonl") for name in ("plain", "a run"))
    assert kept - 1 <= second.counts["replayed"] <= kept, "a result counts once its last line is written"
    assert [(t.number, t.batch, t.architecture, t.value) for t in second.trials] == [
        (t.number, t.batch, t.architecture, t.value) for t in first.trials
    ]
    assert second.best == first.best
