"""StrategyConformance: the contract of strategies, as tests.

Only feasible architectures and declared probes, without repeats; batches of any size; late, partial and failed tells;
exhausted spaces; the same ask stream for the same seed, also in another process.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nasformer.architecture import Architecture
from nasformer.cost import FunctionCost
from nasformer.errors import StrategyError
from nasformer.registry import get_strategy
from nasformer.search import CallableFitness, Run, SearchLoop, StoppingCriteria, Strategy, TrialStore
from nasformer.search.per_budget import for_budgets
from nasformer.space import EnumeratedSet, FeasibleSet, SearchSpace, choice, load_space, per_layer
from nasformer.testing.stream import Judge, stream

_TINY: dict[str, Any] = {"head_dim": 8, "image_size": 8, "patch_size": 2, "in_channels": 1, "num_classes": 3}


def small_space(**dimensions: Any) -> SearchSpace:
    """Return a small space; dimensions may be replaced."""
    declared = {
        "embed_dim": choice(8, 16),
        "depth": choice(1, 2),
        "num_heads": per_layer(1, 2),
        "mlp_ratio": per_layer(1, 2),
        **dimensions,
    }
    return SearchSpace("small", **{**_TINY, **declared})


def probes_of(strategy: Strategy) -> Set[Architecture]:
    """Return the probes of a strategy."""
    found: Set[Architecture] = getattr(strategy, "probes", frozenset())
    return found


def fill(strategy: Strategy, judge: Judge, asks: Sequence[int]) -> list[Architecture]:
    """Ask in the given batch sizes, again where a strategy awaits results first, tell every value, and return all."""
    found: list[Architecture] = []
    for size in asks:
        left = size
        while left and (asked := strategy.ask(left)):
            strategy.tell(judge.judge(asked))
            found += asked
            left -= len(asked)
    return found


def require_distinct(strategy: Strategy, asked: Sequence[Architecture], most: int, feasible: FeasibleSet) -> None:
    """Check that members of a set and probes were asked, each once, ``most`` in all unless the set has fewer."""
    outside = [architecture for architecture in asked if architecture not in feasible]
    assert set(outside) <= probes_of(strategy)
    assert len(asked) == len(set(asked)) == min(most, feasible.count() + len(outside))


def _total_heads(architecture: Architecture) -> int:
    return sum(architecture.num_heads)


SETS: dict[str, FeasibleSet] = {
    "digits under a budget": load_space("digits").feasible(params=(40e3, 80e3)),
    "autoformer-tiny, few feasible": load_space("autoformer-tiny").feasible(params=(5e6, 6e6)),
    "two budgets": load_space("digits").feasible(params=80e3, macs=1.2e6),
    "tied heads": small_space(num_heads=choice(1, 2), depth=choice(2, 3, 4)).feasible(),
    "no dimension per layer": small_space(num_heads=choice(1, 2), mlp_ratio=2, depth=choice(*range(1, 9))).feasible(),
    "fixed width and depth": small_space(embed_dim=8, depth=4).feasible(),
    "skipped branches, patch sizes and resolutions": small_space(
        num_heads=per_layer(0, 1, 2), mlp_ratio=per_layer(0, 1), patch_size=choice(2, 4), image_size=choice(4, 8)
    ).feasible(params=(400, 3000)),
    "a concentrated prior": small_space(
        embed_dim=8, depth=choice(1, 8), num_heads=per_layer(1, 2, 3, 4), mlp_ratio=per_layer(1, 2, 3, 4)
    ).feasible(params=13_500),
    "a black-box cost": small_space(depth=choice(2, 3, 4))
    .with_cost(FunctionCost("total_heads", _total_heads))
    .feasible(total_heads=(4, 6)),
    "a table": EnumeratedSet(load_space("digits"), load_space("digits").sample(200, seed=1), {}),
}

MAX_REQUIRED = 1_000_000
"""Size of the sets that every strategy must accept; its constructor may reject larger ones."""


class StrategyConformance:
    """The conformance suite; subclasses set the strategy, and optionally its options.

    Attributes:
        strategy: Name of a registered strategy, or ``module:Class``.
        options: Options of the strategy.
    """

    strategy: str
    options: dict[str, Any] = {}  # noqa: RUF012 - a subclass replaces it

    @pytest.fixture(params=list(SETS.values()), ids=list(SETS))
    def feasible(self, request: pytest.FixtureRequest) -> FeasibleSet:
        """Diverse feasible sets; a strategy may reject those of over a million, with a one-line reason."""
        chosen: FeasibleSet = request.param
        try:
            self.make(chosen)
        except StrategyError as rejection:
            if rejection.value is not chosen or chosen.at_most() <= MAX_REQUIRED or "\n" in str(rejection):
                raise
            pytest.skip(str(rejection))
        return chosen

    def make(self, feasible: FeasibleSet, seed: int = 0, evaluations: int | None = 60, batch_size: int = 1) -> Strategy:
        """Return a new instance of the strategy."""
        factory = get_strategy(self.strategy)
        return factory(feasible, seed=seed, evaluations=evaluations, batch_size=batch_size, **self.options)

    def test_asks_feasible_architectures_each_once(self, feasible: FeasibleSet) -> None:
        """At any batch size."""
        sizes = [1, 1, 3, 7, 20, 1]
        strategy = self.make(feasible)
        require_distinct(strategy, fill(strategy, Judge(feasible), sizes), sum(sizes), feasible)

    def test_probes_can_be_evaluated(self, feasible: FeasibleSet) -> None:
        """They are outside the set, and never recommended."""
        strategy = self.make(feasible)
        assert all(feasible.evaluable(probe) and probe not in feasible for probe in probes_of(strategy))
        fill(strategy, Judge(feasible), [12])
        assert all(architecture in feasible for architecture in strategy.recommend(12))

    def test_asks_no_more_than_n(self, feasible: FeasibleSet) -> None:
        """And at least one until exhausted."""
        strategy, judge = self.make(feasible, batch_size=5), Judge(feasible)
        for size in (5, 1, 5, 2):
            asked = strategy.ask(size)
            assert 1 <= len(asked) <= size
            strategy.tell(judge.judge(asked))

    def test_tolerates_late_and_partial_tells(self, feasible: FeasibleSet) -> None:
        """Out of order, between further asks."""
        strategy, judge = self.make(feasible, batch_size=4), Judge(feasible)
        waiting: list[Architecture] = []
        seen: list[Architecture] = []
        for _ in range(10):
            asked = strategy.ask(4)
            seen += asked
            waiting = asked + waiting
            strategy.tell(judge.judge(waiting[-3:]))
            del waiting[-3:]
        assert len(set(seen)) == len(seen) > 0
        assert all(architecture in feasible or architecture in probes_of(strategy) for architecture in seen)

    def test_tolerates_failed_evaluations(self, feasible: FeasibleSet) -> None:
        """All at the start, then some."""
        strategy, judge = self.make(feasible), Judge(feasible)
        for step in range(20):
            strategy.tell(judge.judge(strategy.ask(1), failed=step < 5 or step % 3 == 0))
        require_distinct(strategy, [trial.architecture for trial in judge.trials], 20, feasible)
        worked = {trial.architecture for trial in judge.trials if trial.eligible}
        assert set(strategy.recommend(3)) <= worked or not worked

    def test_learns_a_failed_evaluation_made_again(self, feasible: FeasibleSet) -> None:
        """A failed trial is told once more, with its value."""
        strategy, judge = self.make(feasible), Judge(feasible)
        asked = fill(strategy, judge, [4, 4])
        failed = judge.judge(strategy.ask(4), failed=True)
        strategy.tell(failed)
        for trial in failed:
            strategy.tell([replace(trial, value=judge.value(trial.architecture) + 1e3, error=None)])
        told = {trial.architecture for trial in judge.trials if not trial.probe}
        assert set(strategy.recommend(1)) <= told or not told
        seen = [*asked, *(trial.architecture for trial in failed), *fill(strategy, judge, [4, 4])]
        require_distinct(strategy, seen, 16 + len(failed), feasible)

    def test_learns_from_a_warm_start(self, feasible: FeasibleSet) -> None:
        """Trials of another search come first; their architectures are not asked."""
        strategy, judge = self.make(feasible), Judge(feasible)
        known = list(dict.fromkeys(feasible.sample(6, seed=9)))
        warm = [replace(trial, number=trial.number - len(known), batch=-1) for trial in judge.judge(known)]
        strategy.tell(warm)
        seen = fill(strategy, judge, [4] * 4)
        require_distinct(strategy, [*known, *seen], len(known) + 16, feasible)
        assert set(strategy.recommend(2)) <= {*known, *seen}

    def test_goes_on_from_its_state(self, feasible: FeasibleSet) -> None:
        """A new instance with the state and the told trials asks as the first does; without state it is replayed."""
        strategy, again, judge = self.make(feasible), self.make(feasible), Judge(feasible)
        if not hasattr(strategy, "restore") or strategy.state() is None:  # type: ignore[attr-defined]
            pytest.skip("it has no state")
        warm = [replace(trial, number=-1 - at, batch=-1) for at, trial in enumerate(judge.judge(feasible.sample(1)))]
        for each in (strategy, again):
            each.tell(warm)
        judge.trials.clear()
        for step in range(25):
            strategy.tell(judge.judge(strategy.ask(2), failed=step % 7 == 3))
        failed = next((trial for trial in judge.trials if trial.value is None), None)
        if failed is not None:
            judge.trials[failed.number] = replace(failed, value=judge.value(failed.architecture), error=None)
            strategy.tell([judge.trials[failed.number]])
        again.restore(json.loads(json.dumps(strategy.state())), judge.trials)  # type: ignore[attr-defined]
        other = Judge(feasible)
        other.trials = list(judge.trials)
        assert again.recommend(3) == strategy.recommend(3)
        assert stream(again, other, [2, 5, 1, 2]) == stream(strategy, judge, [2, 5, 1, 2])
        assert getattr(again, "counts", {}) == getattr(strategy, "counts", {})
        assert again.recommend(3) == strategy.recommend(3)

    def test_says_whether_it_depends_on_the_total(self, feasible: FeasibleSet) -> None:
        """A search goes on beyond its total only where ``uses_evaluations`` is rightly False."""
        first, second = (stream(self.make(feasible, evaluations=n), Judge(feasible), [4] * 6) for n in (24, 60))
        assert first == second or getattr(self.make(feasible), "uses_evaluations", True)

    def test_tolerates_equal_and_negative_values(self, feasible: FeasibleSet) -> None:
        """A constant fitness."""
        judge = Judge(feasible)
        judge.value = lambda architecture: -1e6  # type: ignore[method-assign]
        strategy = self.make(feasible)
        require_distinct(strategy, fill(strategy, judge, [5] * 4), 20, feasible)

    def test_exhausts_a_small_set(self) -> None:
        """Every architecture once, then nothing."""
        feasible = small_space().feasible(params=(0, 4000))
        strategy, judge = self.make(feasible, evaluations=None, batch_size=3), Judge(feasible)
        seen = fill(strategy, judge, [3] * 100)
        require_distinct(strategy, seen, 300, feasible)
        assert strategy.ask(1) == []

    def test_searches_a_space_of_one(self) -> None:
        """With nothing to choose."""
        space = small_space(embed_dim=8, depth=1, num_heads=1, mlp_ratio=1)
        strategy, judge = self.make(space.feasible()), Judge(space.feasible())
        asked = strategy.ask(5)
        strategy.tell(judge.judge(asked))
        assert asked == [space.smallest] == strategy.recommend(3)
        assert strategy.ask(1) == []

    def test_recommends_feasible_and_good_architectures(self, feasible: FeasibleSet) -> None:
        """At most k, best first, and none before any tell."""
        strategy, judge = self.make(feasible), Judge(feasible)
        assert strategy.recommend(3) == []
        fill(strategy, judge, [10] * (6 if probes_of(strategy) else 3))
        recommended = strategy.recommend(3)
        assert 1 <= len(recommended) <= 3
        assert all(architecture in feasible for architecture in recommended)
        values = sorted(trial.value for trial in judge.trials if trial.value is not None and not trial.probe)
        assert judge.value(recommended[0]) >= values[len(values) // 2]

    def test_same_seed_same_stream(self, feasible: FeasibleSet) -> None:
        """And another seed another stream, if the set is large enough."""
        sizes = [1, 4, 1, 6, 8]
        first, again, other = (stream(self.make(feasible, seed), Judge(feasible), sizes) for seed in (3, 3, 4))
        assert first == again
        assert first != other or feasible.count() <= 10

    def test_same_stream_in_another_process(self) -> None:
        """Independent of hash seeds and import order."""
        if self.options:
            pytest.skip("options are not passed to the other process")
        sizes, params = [2, 3, 15, 1], "40e3:80e3"
        command = [sys.executable, "-m", "nasformer.testing.stream", self.strategy, "digits", params, "5"]
        done = subprocess.run([*command, json.dumps(sizes)], capture_output=True, text=True, check=True)
        feasible = load_space("digits").feasible(params=params)
        strategy = self.make(feasible, 5, evaluations=sum(sizes), batch_size=max(sizes))
        here = stream(strategy, Judge(feasible), sizes)
        assert json.loads(done.stdout) == [[architecture.to_dict() for architecture in batch] for batch in here]

    def test_leaves_global_randomness_alone(self, feasible: FeasibleSet) -> None:
        """It neither uses nor seeds global generators."""
        random.seed(1)
        np.random.seed(1)
        before = random.random(), np.random.random()
        first = stream(self.make(feasible), Judge(feasible), [4] * 5)
        random.seed(1)
        np.random.seed(1)
        second_strategy = self.make(feasible)
        assert (random.random(), np.random.random()) == before
        assert stream(second_strategy, Judge(feasible), [4] * 5) == first

    @pytest.mark.parametrize("batch_size", [1, 7])
    def test_searches_several_budgets(self, batch_size: int) -> None:
        """One loop asks for each in turn: distinct members, a recommendation within each, exact replay after a kill."""
        space = load_space("digits")
        feasible, targets = space.feasible(params=90e3), [space.feasible(params=most) for most in (30e3, 50e3, 90e3)]
        judge, whole, killed = Judge(feasible), TrialStore(), TrialStore()

        def run(record: TrialStore, stop: int | None = None) -> tuple[Run, Strategy]:
            strategy = for_budgets(
                get_strategy(self.strategy), lambda own, n: self.make(own, 1, n, batch_size), feasible, targets, 45
            )
            criteria = StoppingCriteria(45, batch_size, pause_after=stop)
            fitness = CallableFitness(judge.value)
            return SearchLoop(strategy, fitness, feasible, criteria, record, targets=targets).run(), strategy

        found, strategy = run(whole)
        run(killed, stop=20)
        run(killed)
        asked = [trial.architecture for trial in found.trials]
        require_distinct(strategy, asked, 45, feasible)
        assert [trial.architecture for trial in killed.trials()] == asked
        for target in targets:
            strategy.focus(target)  # type: ignore[attr-defined]
            best = strategy.recommend(2)
            assert 1 <= len(best) <= 2
            assert all(architecture in target for architecture in best)

    def test_works_without_a_known_length(self, feasible: FeasibleSet) -> None:
        """``evaluations`` may be None."""
        strategy = self.make(feasible, evaluations=None)
        require_distinct(strategy, fill(strategy, Judge(feasible), [3] * 5), 15, feasible)
