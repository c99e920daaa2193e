"""One search for several budgets: a winner within each, one study, nothing evaluated twice."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from nasformer.architecture import Architecture
from nasformer.cost import FunctionCost, Limits, within
from nasformer.errors import BudgetError, FitnessError, StrategyError, StudyError
from nasformer.search import CallableFitness, Evaluation, Run, SearchResult, Trial
from nasformer.search.targets import Targets
from nasformer.searcher import Searcher
from nasformer.space import load_space

SPACE = load_space("digits")
BUDGETS = [20e3, 40e3, 80e3]


def value(architecture: Architecture) -> float:
    """Grow with width and depth, with less from each further layer, and a rugged part."""
    return float(architecture.embed_dim**0.5 + architecture.depth**0.5 + SPACE.params(architecture) % 11 / 20)


def search(strategy: str = "thompson", fitness: Any = value, budgets: object = BUDGETS, **options: Any) -> SearchResult:
    options = {"evaluations": 24, "progress": False, **options}
    return Searcher(SPACE, strategy, fitness).run(budgets=budgets, **options)


@pytest.mark.parametrize("strategy", ["thompson", "nsga2", "evolution", "sensitivity"])
def test_each_budget_has_a_winner_and_the_trials_are_shared(strategy: str) -> None:
    asked: list[Architecture] = []
    found = search(strategy, lambda each: asked.append(each) or value(each), batch_size=4)  # type: ignore[func-returns-value]
    assert len(asked) == len(set(asked)) == len(found.trials) == 24
    assert [winner.params <= most for winner, most in zip(found.winners, BUDGETS, strict=True)] == [True] * 3
    for own, winner in zip(found.budgets, found.winners, strict=True):
        told = [trial.value for trial in found.trials if trial.eligible and within(trial.costs, own)]
        assert winner.fitness >= max(each for each in told if each is not None) or strategy == "thompson"
    assert found.best == max(found.winners, key=lambda winner: winner.fitness)
    assert found.front == found.pareto_front("params")


def test_a_search_spends_evenly() -> None:
    found = search("random", evaluations=30)
    cheap, middle = (sum(trial.costs["params"] <= most for trial in found.trials) for most in BUDGETS[:2])
    assert cheap >= 10
    assert middle >= 20


@pytest.mark.parametrize(
    ("budgets", "limits"),
    [
        ([80e3, 20e3, 40e3], [80_000, 20_000, 40_000, 30_000, 60_000]),
        ([20_000, 20_001], [20_000, 20_001, 20_000]),
        ([(15e3, 20e3), (16e3, 40e3)], [20_000, 40_000]),
    ],
)
def test_turns_are_midway_between_the_budgets_too(budgets: object, limits: list[int]) -> None:
    targets = Targets.of(None, budgets, SPACE, Searcher(SPACE).feasible, midway=True)
    assert [each.limits["params"].high for each in targets.turns] == limits
    assert [each["params"].high for each in targets.limits] == limits[: len(targets.limits)]
    plain = Targets.of(None, budgets, SPACE, Searcher(SPACE).feasible, midway=False)
    assert plain.turns == plain.budgets


def test_budgets_that_differ_in_two_costs_have_nothing_between() -> None:
    targets = Targets.of(None, [{"params": 4e4}, {"macs": 6e5}], SPACE, Searcher(SPACE).feasible, midway=True)
    assert targets.turns == list(targets.budgets)


def test_the_best_of_a_tight_budget_wins_the_loose_ones_too() -> None:
    found = search("evolution", lambda each: -SPACE.params(each), confirm=1)
    assert len({winner.architecture for winner in found.winners}) == 1
    assert found.winners[0] == found.best


def test_an_exhausted_budget_leaves_its_evaluations_to_the_others() -> None:
    least = SPACE.params(SPACE.smallest)
    for strategy in ("thompson", "random"):
        found = search(strategy, budgets=[least, 40e3], evaluations=12)
        assert len(found.trials) == 12
        assert found.winners[0].params == least


def test_one_entry_is_one_budget() -> None:
    alone = Searcher(SPACE, "thompson", value).run(budget=40e3, evaluations=12, progress=False)
    found = search(budgets=[40e3], evaluations=12)
    assert [trial.architecture for trial in found.trials] == [trial.architecture for trial in alone.trials]
    assert found.budgets == ()
    assert found.winners == (found.best,)
    assert "budgets" not in found.settings


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("strategy", ["thompson", "local-search"])
def test_a_killed_search_resumes_and_open_knows_the_budgets(strategy: str, tmp_path: Path) -> None:
    spec: dict[str, Any] = {"fitness_spec": {"fitness": {"spec": "training-free"}}, "batch_size": 5}
    spec |= {"storage": tmp_path / "study.log", "study": "s"}
    whole = search(strategy, None, batch_size=5)
    search(strategy, None, pause_after=8, **spec)
    searcher, arguments = Searcher.open(spec["storage"])
    found = searcher.run(**arguments, progress=False)
    assert [trial.architecture for trial in found.trials] == [trial.architecture for trial in whole.trials]
    assert found.winners == whole.winners
    with pytest.raises(StudyError, match="80000"):
        search(strategy, None, [20e3, 40e3, 90e3], **spec)
    with pytest.raises(StudyError, match="budgets"):
        search(strategy, None, [20e3, 50e3, 80e3], **spec)


def test_a_result_keeps_its_budgets(tmp_path: Path) -> None:
    found = search(evaluations=12)
    again = SearchResult.load(found.save(tmp_path / "result.jsonl"))
    assert (again.budgets, again.winners, again.front) == (found.budgets, found.winners, found.front)


def test_any_cost_with_any_other() -> None:
    heads = FunctionCost("heads", lambda architecture: float(sum(architecture.num_heads)))
    budgets = [{"params": 80e3, "heads": 6}, {"params": 80e3, "heads": 9}]
    found = Searcher(SPACE.with_cost(heads), "thompson", value).run(budgets=budgets, evaluations=16, progress=False)
    assert found.budget_cost == "heads"
    assert all(sum(each.architecture.num_heads) <= n for each, n in zip(found.winners, (6, 9), strict=True))
    assert all(trial.costs["params"] <= 80e3 for trial in found.trials)


@pytest.mark.parametrize(
    ("budgets", "words"),
    [
        ([], "at least one"),
        (6e6, "6000000.0"),
        ([None], "budget 1 of 1 bounds no cost"),
        ([4e4, "params <= 40K"], "budgets 1 and 2 are the same, params <= 40000"),
        ([4e4, 10], "budget 2 of 2, params <= 10"),
    ],
)
def test_bad_budgets_are_named(budgets: object, words: str) -> None:
    with pytest.raises(BudgetError, match=words):
        search(budgets=budgets)


def test_budget_and_budgets_exclude_each_other() -> None:
    with pytest.raises(BudgetError, match=r"40000\.0"):
        search(budget=40e3)


def test_a_budget_takes_an_evaluation() -> None:
    with pytest.raises(StrategyError, match="3 budgets take as many evaluations, got 2"):
        search(evaluations=2)


def test_a_budget_without_a_value_is_named() -> None:
    def fails(architecture: Architecture) -> float:
        if SPACE.params(architecture) <= 20e3:
            raise ValueError("small")
        return value(architecture)

    with pytest.raises(FitnessError, match="params <= 20000"):
        search("random", fails, max_failures=24)


class Racing(CallableFitness):
    """A fitness that records how many of the best a race keeps."""

    kept: int = 0

    def race_for(self, keep: int, rivals: Sequence[Architecture]) -> None:
        self.kept = max(self.kept, keep)


def test_a_race_drops_nothing_of_a_tight_budget() -> None:
    fitness = Racing(value)
    search("random", fitness)
    assert fitness.kept == sys.maxsize


class Judge:
    """A re-ranker of the best of each budget."""

    top = 1

    def __init__(self) -> None:
        self.judged: list[Architecture] = []

    def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        self.judged += architectures
        yield from (Evaluation(each, value(each)) for each in architectures)

    def describe(self) -> dict[str, Any]:
        return {"kind": "judge"}

    def keep(self, winner: Architecture) -> None:
        assert winner in self.judged


def test_the_best_of_each_budget_are_reranked() -> None:
    judge = Judge()
    found = search("evolution", rerank=judge)
    assert {winner.architecture for winner in found.winners} == set(judge.judged)
    assert 2 <= len(judge.judged) <= 3


def test_a_new_best_within_any_budget_is_a_gain() -> None:
    budgets: Iterable[Limits] = search(evaluations=3).budgets
    run = Run(budgets=tuple(budgets))
    large, small = SPACE.sample(200)[0], SPACE.smallest
    for number, (architecture, told) in enumerate([(large, 9.0), (small, 1.0), (small, 1.0)]):
        run.add(Trial(number, number, architecture, told, costs=SPACE.costs(architecture)))
        assert run.since_gain == (0, 0, 1)[number]
