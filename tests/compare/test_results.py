"""Finished searches become a comparison: a row for each evaluation, a row for each run."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from nasformer.architecture import Architecture
from nasformer.compare import from_results
from nasformer.compare.comparison import CELL_COLUMNS, TRIAL_COLUMNS
from nasformer.errors import NasformerError
from nasformer.search import SearchResult
from nasformer.searcher import Searcher
from nasformer.space import load_space

SPACE = load_space("digits")
OPTIMUM = 30.0


def value(architecture: Architecture) -> float:
    return sum(architecture.num_heads) + architecture.embed_dim / 1000


def run(strategy: str, seed: int, evaluations: int = 12) -> SearchResult:
    searcher = Searcher(SPACE, strategy=strategy, fitness=value, seed=seed)
    return searcher.run(budget=54_000, evaluations=evaluations, progress=False)


@pytest.fixture(scope="module")
def results() -> list[SearchResult]:
    return [run(strategy, seed) for strategy in ("random", "aging-evolution") for seed in (0, 1, 2)]


def test_trials_hold_every_evaluation_in_order(results: list[SearchResult]) -> None:
    trials = from_results(results, truth=lambda architecture: 2 * value(architecture)).trials
    assert set(TRIAL_COLUMNS) <= set(trials.columns)
    for result in results:
        mine = trials[(trials.strategy == result.strategy) & (trials.seed == result.seed)]
        assert mine.evaluation.tolist() == list(range(1, 13))
        assert mine.value.tolist() == [trial.value for trial in result.trials]
        assert mine.params.tolist() == [trial.costs["params"] for trial in result.trials]
        np.testing.assert_array_equal(mine.true, 2 * mine.value)
        assert mine.loss.isna().all()


def test_cells_hold_every_winner(results: list[SearchResult]) -> None:
    cells = from_results(results, truth=value, test=lambda architecture: 1.0, optimum=OPTIMUM).cells
    assert tuple(cells.columns) == CELL_COLUMNS
    for result, cell in zip(results, cells.itertuples(), strict=True):
        best = result.best
        assert (cell.strategy, cell.seed) == (result.strategy, result.seed)
        assert Architecture.from_dict(json.loads(str(cell.architecture))) == best.architecture
        assert (cell.confirmed, cell.true, cell.observed, cell.test) == (best.fitness,) * 3 + (1.0,)
        assert cell.regret == pytest.approx(OPTIMUM - best.fitness)
        assert (cell.evaluations, cell.stopped) == (12, "evaluations")
        assert cell.strategy_seconds == result.seconds["strategy"]


def test_what_is_not_known_is_missing(results: list[SearchResult]) -> None:
    comparison = from_results(results)
    assert comparison.cells[["true", "test", "regret"]].isna().all(axis=None)
    assert comparison.trials["true"].isna().all()
    assert (comparison.missing, comparison.seeds, comparison.labels) == (0, (0, 1, 2), ["random", "aging-evolution"])


def test_regret_is_never_negative(results: list[SearchResult]) -> None:
    assert (from_results(results, truth=value, optimum=0.0).cells.regret == 0).all()


def test_an_evaluation_that_failed_has_no_value(results: list[SearchResult]) -> None:
    first = results[0]
    failed = replace(first.trials[0], value=None, error="it broke")
    trials = from_results([replace(first, trials=(failed, *first.trials[1:]))]).trials
    assert trials.value.isna().tolist() == [True] + [False] * 11


def test_settings_that_differ_are_all_told(results: list[SearchResult]) -> None:
    comparison = from_results([results[0], run("random", 7, evaluations=5)])
    assert comparison.settings["evaluations"] == [12, 5]
    assert comparison.tasks[0].evaluations == 12


def test_options_tell_variants_of_a_strategy_apart(results: list[SearchResult]) -> None:
    first = results[0]
    second = replace(first, settings={**first.settings, "options": {"optimizer": "PSO"}})
    comparison = from_results([first, second])
    assert comparison.labels == ["random (defaults)", "random (optimizer=PSO)"]
    assert comparison.entrants[1].options == {"optimizer": "PSO"}


def test_a_run_given_twice_is_refused(results: list[SearchResult]) -> None:
    with pytest.raises(NasformerError, match=r"random with seed 0 occurs 2 times"):
        from_results([results[0], results[0]])
