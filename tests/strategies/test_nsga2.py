"""NSGA-II: a front of value against cost, and the front of any result against brute force."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from nasformer.architecture import Architecture
from nasformer.errors import StrategyError, StudyError
from nasformer.search import SearchResult, Trial
from nasformer.searcher import Searcher
from nasformer.space import load_space
from nasformer.strategies.nsga2 import Nsga2

SPACE = load_space("digits")


def searched(strategy: str, evaluations: int = 30, **options: Any) -> SearchResult:
    """Search for depth and heads, both of which cost."""
    worth = lambda architecture: architecture.depth + sum(architecture.num_heads)  # noqa: E731
    searcher = Searcher(SPACE, strategy, worth, **options)
    return searcher.run((30e3, 90e3), evaluations=evaluations, progress=False)


def brute_force(trials: tuple[Trial, ...], cost: str) -> set[int]:
    def beats(a: Trial, b: Trial) -> bool:
        assert a.value is not None
        assert b.value is not None
        no_worse = a.value >= b.value and a.costs[cost] <= b.costs[cost]
        return no_worse and (a.value > b.value or a.costs[cost] < b.costs[cost])

    valued = [trial for trial in trials if trial.value is not None]
    return {trial.number for trial in valued if not any(beats(other, trial) for other in valued)}


@pytest.mark.parametrize("cost", ["params", "macs"])
def test_the_front_of_a_result_is_that_of_brute_force(cost: str) -> None:
    result = searched("random", 60)
    rng = random.Random(0)
    for _ in range(30):
        trials = tuple(replace(t, value=rng.choice([None, *range(8)])) for t in rng.sample(result.trials, 25))
        front = replace(result, trials=trials).pareto_front(cost)
        assert {trial.number for trial in front} == brute_force(trials, cost)
        assert front == sorted(front, key=lambda trial: -(trial.value or 0))


def test_the_front_is_against_the_cost_that_was_lowered() -> None:
    result = searched("nsga2", cost="macs", population=10)
    assert result.pareto == result.pareto_front("macs")
    assert replace(result, settings={**result.settings, "options": {}}).pareto == result.pareto_front("params")
    with pytest.raises(StudyError, match="no cost 'mac'; did you mean 'macs'"):
        result.pareto_front("mac")


def test_it_keeps_a_better_front_than_random_search() -> None:
    def spanned(result: SearchResult) -> float:
        """Return the area that the front dominates, up to the dearest feasible cost."""
        area, reached = 0.0, 90e3
        for trial in result.pareto:
            assert trial.value is not None
            area += trial.value * (reached - trial.costs["params"])
            reached = trial.costs["params"]
        return area

    ours, theirs = (
        sorted(spanned(searched(name, 200, seed=seed)) for seed in range(5)) for name in ("nsga2", "random")
    )
    assert ours[2] > theirs[2], f"nsga2 {ours}, random {theirs}"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cost": "param"}, "unknown cost 'param'; did you mean 'params'"),
        ({"cost": ["params"]}, r"unknown cost \['params'\]; "),
        ({"population": 1}, "population must be a whole number of at least 2, got 1"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        Nsga2(SPACE.feasible(), seed=0, **options)  # type: ignore[arg-type]


def test_an_architecture_is_judged_by_its_value_and_its_cost() -> None:
    strategy = Nsga2(SPACE.feasible(), seed=0, cost="macs")
    architecture = Architecture(32, (2, 2), (1, 1))
    assert strategy.objectives(architecture, 3.0) == [3.0, SPACE.macs(architecture)]
