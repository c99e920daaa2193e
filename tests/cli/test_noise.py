"""``--noise`` and ``nasformer surrogate``: noise that a study keeps, and a surrogate that says how good it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nasformer.fitness import SurrogateFitness, TableFitness
from nasformer.search import SearchResult
from tests.cli.conftest import Command

TABLE = "table:digits-exhaustive"
SEARCH = f"digits --strategy random --params 60e3 -n 20 --seed 3 --fitness {TABLE} --noise 0.5"


@pytest.fixture(autouse=True)
def _empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def told(path: str) -> list[tuple[Any, ...]]:
    return [(trial.architecture, trial.value) for trial in SearchResult.load(path).trials]


def test_a_study_keeps_its_noise(nasformer: Command) -> None:
    """Paused and gone on with from the storage alone, it tells what a search in one go tells."""
    assert nasformer("search", *SEARCH.split(), "--out", "plain", "-q").code == 0
    made = nasformer("study", "create", *SEARCH.split(), "--storage", "s.log")
    assert made.code == 0, made.err
    assert nasformer("study", "run", "--storage", "s.log", "-n", 7, "-q").code == 0
    done = nasformer("study", "run", "--storage", "s.log", "-q", "--out", "parts")
    assert done.code == 0, done.err
    assert told("parts/result.jsonl") == told("plain/result.jsonl")
    table = TableFitness("digits-exhaustive")
    assert all(value != table.true_value(architecture) for architecture, value in told("plain/result.jsonl"))


def test_strategies_of_a_seed_share_their_noise_and_other_seeds_have_other(nasformer: Command) -> None:
    table = TableFitness("digits-exhaustive")
    wide = SEARCH.replace("60e3", "14e3:24e3").replace("-n 20", "-n 500")
    runs = {"a": wide, "b": wide.replace("random", "evolution"), "c": wide.replace("--seed 3", "--seed 4")}
    for name, command in runs.items():
        assert nasformer("search", *command.split(), "--out", name, "-q").code == 0
    first, second, third = (dict(told(f"{name}/result.jsonl")) for name in runs)
    assert first == second
    assert first.keys() == third.keys()
    assert not set(first.items()) & set(third.items())
    assert all(abs(value - (table.true_value(architecture) or 0)) < 3 for architecture, value in first.items())


def test_other_noise_does_not_continue_a_study(nasformer: Command, refused: Any) -> None:
    assert nasformer("search", *SEARCH.split(), "--out", "run", "-q").code == 0
    other = SEARCH.replace("0.5", "0.25")
    refused(r"was made with fitness\.noise\.sd=0\.5, now 0\.25", "search", *other.split(), "--out", "run", "-q")


def test_a_surrogate_is_fitted_printed_and_searched(nasformer: Command) -> None:
    done = nasformer("surrogate", "digits-exhaustive", "--out", "models/s.json", "--json")
    assert done.code == 0, done.err
    quality = json.loads(done.out)
    fitted = SurrogateFitness.load("models/s.json")
    assert quality.items() >= {"rows": 22_113, "out": "models/s.json", "model": "additive", **fitted.quality}.items()
    printed = nasformer("surrogate", "digits-exhaustive").out
    assert f"{fitted.quality['rmse']:.4g}" in printed
    assert "root mean square error" in printed
    for kind in ("surrogate:models/s.json", "fit:digits-exhaustive"):
        command = f"digits --strategy thompson --params 60e3 -n 30 --fitness {kind} --out {kind[:3]}"
        assert nasformer("search", *command.split(), "-q").code == 0
    assert told("sur/result.jsonl") == told("fit/result.jsonl")
