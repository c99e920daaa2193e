"""``nasformer search --workers``: the same trials as in one process, and clear refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nasformer.search import SearchResult, Trial
from tests.cli.conftest import Command

SIZES = "--strategy evolution -o population=8 -o parents=4 -o mutants=4 -o crossovers=4"
SEARCH = f"search digits --params 60e3 --batch-size 8 --device cpu --quiet {SIZES}".split()


def told(path: Path) -> list[tuple[object, ...]]:
    """Return everything of the trials but the time that they took."""

    def content(trial: Trial) -> tuple[object, ...]:
        return trial.number, trial.batch, trial.architecture, trial.value, dict(trial.metrics), dict(trial.costs)

    return [content(trial) for trial in SearchResult.load(path / "result.jsonl").trials]


@pytest.mark.parametrize("racing", [(), ("--objective", "loss", "--racing")], ids=["whole", "race"])
def test_two_workers_find_the_trials_of_one(weights: Path, racing: tuple[str, ...], nasformer: Command) -> None:
    for workers in (1, 2):
        code, _, err = nasformer(*SEARCH, *racing, "-n", 24, "--workers", workers, "--out", f"run{workers}")
        assert (code, err) == (0, "")
    first, second = (SearchResult.load(Path(f"run{workers}") / "result.jsonl") for workers in (1, 2))
    assert first.settings == second.settings
    assert told(Path("run1")) == told(Path("run2"))
    assert first.best.architecture == second.best.architecture


@pytest.mark.slow
def test_a_search_goes_on_with_another_number_of_workers(weights: Path, nasformer: Command) -> None:
    options = [*SEARCH, "-n", 16, "--out", "run"]
    assert nasformer(*options, "--workers", 2).code == 0
    before = told(Path("run"))
    assert nasformer(*options).code == 0
    assert told(Path("run")) == before
    assert SearchResult.load(Path("run") / "result.jsonl").counts["replayed"] == 16


@pytest.mark.parametrize(
    ("message", "options"),
    [
        (
            "only fitness 'inherited' supports .*workers and ray, got 'training-free' with .*workers=2",
            "--fitness training-free",
        ),
        ("no trained weights for space 'digits'; run 'nasformer train' first", ""),
        ("no Ray cluster at 'nonsense': an address is auto, local or HOST:PORT|Ray is not installed", "--ray nonsense"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    message: str, options: str, request: pytest.FixtureRequest, refused: Callable[..., None]
) -> None:
    if "ray" in options:
        request.getfixturevalue("weights")
    refused(message, "search", "digits", "--workers", 2, *options.split())
