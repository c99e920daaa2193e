"""Optuna: samplers of every kind by name, those that cannot serve refused in one line."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from nasformer.errors import StrategyError
from nasformer.registry import get_strategy
from nasformer.searcher import Searcher
from nasformer.space import load_space
from nasformer.strategies.tpe import Tpe
from nasformer.testing import Judge, StrategyConformance, stream

FEASIBLE = load_space("digits").feasible(params=(40e3, 80e3))


class TestGenetic(StrategyConformance):
    strategy = "optuna:NSGAIISampler"


class TestQuasiMonteCarlo(StrategyConformance):
    strategy = "optuna"
    options = {"sampler": "QMCSampler", "startup": 0}  # noqa: RUF012


@pytest.mark.parametrize(
    "sampler", ["BruteForceSampler", "GPSampler", "NSGAIIISampler", "RandomSampler", "TPESampler", "CmaEsSampler"]
)
def test_samplers_search_within_the_budget(sampler: str) -> None:
    if sampler == "CmaEsSampler":
        pytest.importorskip("cmaes")
    streams = []
    for _ in range(2):
        judge = Judge(FEASIBLE)
        strategy = get_strategy(f"optuna:{sampler}")(FEASIBLE, seed=0, evaluations=20, batch_size=4)
        streams.append([a for batch in stream(strategy, judge, [4] * 5) for a in batch])
        assert len(set(streams[-1])) == 20
        assert all(architecture in FEASIBLE for architecture in streams[-1])
    assert streams[0] == streams[1]


def test_a_sampler_learns_from_where_its_suggestion_was_moved_to() -> None:
    strategy, judge = (
        get_strategy("optuna:NSGAIISampler")(FEASIBLE, seed=0, startup=5, population_size=5),
        Judge(FEASIBLE),
    )
    stream(strategy, judge, [1] * 30)
    finished = [trial for trial in strategy._study.trials if trial.value is not None]  # type: ignore[attr-defined]
    assert {strategy._genes.decode(trial.params) for trial in finished} >= set(strategy.told)  # type: ignore[attr-defined]
    generations = {trial.system_attrs.get("NSGAIISampler:generation") for trial in finished}
    assert generations >= {0, 1, 2}, "the generations of its first draws and of moved suggestions go on"


def test_a_suggestion_asked_before_is_moved_to_the_nearest_new_one() -> None:
    space = load_space("digits")
    few = space.feasible(params=1.3 * space.feasible().bounds("params")[0])
    strategy = Tpe(few, seed=0)
    assert len({each for (each,) in stream(strategy, Judge(few), [1] * few.count())}) == few.count()
    assert strategy.counts["duplicates"] > 0
    assert strategy.counts["replaced"] == 0
    assert len(strategy._study.trials) <= 2 * few.count(), "one suggestion for each ask, and where it was moved to"


def test_options_are_the_samplers_own() -> None:
    searcher = Searcher("digits", "optuna:TPESampler", lambda a: a.depth, startup=3, multivariate=True)
    result = searcher.run((40e3, 80e3), evaluations=8, progress=False)
    assert result.strategy == "optuna:TPESampler"
    assert result.settings["options"] == {"startup": 3, "multivariate": True}


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("optuna:TPESample", {}, "Optuna has no sampler 'TPESample'; did you mean 'TPESampler'"),
        ("optuna:BaseSampler", {}, "Optuna has no sampler 'BaseSampler'"),
        ("optuna:GridSampler", {}, "Optuna's GridSampler cannot be made without search_space"),
        (
            "optuna:TPESampler",
            {"multivariat": 1},
            "TPESampler has no option 'multivariat'; did you mean 'multivariate'",
        ),
        ("optuna:TPESampler", {"n_startup_trials": "x"}, "Optuna's TPESampler cannot be used: TypeError"),
        ("optuna:NSGAIISampler", {"population_size": 0}, "NSGAIISampler cannot be used: ValueError: .*population_size"),
        ("optuna", {"startup": -1}, "startup must be a whole number of at least 0, got -1"),
        ("tpe", {"candidates": 0}, "candidates must be a whole number of at least 1, got 0"),
    ],
)
def test_what_cannot_serve_is_refused_in_one_line(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(StrategyError, match=words) as caught:
        get_strategy(name)(FEASIBLE, seed=0, **options).ask(1)
    assert "\n" not in str(caught.value)


def test_a_sampler_whose_package_is_missing_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cmaes", None)
    strategy, judge = get_strategy("optuna:CmaEsSampler")(FEASIBLE, seed=0, startup=1), Judge(FEASIBLE)
    with pytest.raises(
        StrategyError, match=r"CmaEsSampler needs a package that is missing: pip install 'nasformer\[cmaes"
    ):
        stream(strategy, judge, [1] * 5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("optuna:", "strategy 'optuna:' names no sampler; write optuna:NAME"),
        ("random:Sobol", "strategy 'random' has no variants, so 'Sobol' cannot be one"),
        ("tpe:GPSampler", "strategy 'tpe' has no variants"),
    ],
)
def test_a_name_with_a_colon_needs_a_family_and_a_member(name: str, words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        get_strategy(name)


def test_an_optimizer_of_nevergrad_comes_by_name_too() -> None:
    strategies = [
        get_strategy("nevergrad:TwoPointsDE")(FEASIBLE, seed=0),
        get_strategy("nevergrad")(FEASIBLE, seed=0, optimizer="TwoPointsDE"),
    ]
    assert stream(strategies[0], Judge(FEASIBLE), [5, 5]) == stream(strategies[1], Judge(FEASIBLE), [5, 5])


def test_a_sampler_is_not_named_twice() -> None:
    with pytest.raises(StrategyError, match="'optuna:GPSampler' has its sampler in its name"):
        Searcher("digits", "optuna:GPSampler", fitness=lambda a: a.depth, sampler="TPESampler")
