"""Sensitivity search: what it probes, the sums, what it evaluates, and what it says of additivity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasformer.architecture import Architecture
from nasformer.cost import FunctionCost
from nasformer.errors import StrategyError
from nasformer.fitness import TableFitness
from nasformer.search import Evaluation, Trial
from nasformer.searcher import Searcher
from nasformer.space import EnumeratedSet, FeasibleSet, SearchSpace, choice, load_space, per_layer
from nasformer.strategies._sensitivity import Sensitivities
from nasformer.strategies.sensitivity import Sensitivity
from nasformer.strategies.thompson import Thompson

DIGITS = load_space("digits")
SKIPPING = SearchSpace(
    "skipping",
    embed_dim=choice(8, 16, 24),
    depth=choice(2, 3),
    num_heads=per_layer(0, 1, 2),
    mlp_ratio=per_layer(0, 1, 2),
    patch_size=choice(2, 4),
    image_size=choice(4, 8),
    **{"head_dim": 8, "in_channels": 1, "num_classes": 3},  # type: ignore[arg-type]
)
TIED = SearchSpace(
    "tied",
    embed_dim=choice(8, 16),
    depth=choice(2, 3, 4),
    num_heads=choice(1, 2, 3),
    mlp_ratio=per_layer(1, 2),
    **{"head_dim": 8, "image_size": 8, "patch_size": 2, "in_channels": 1, "num_classes": 3},  # type: ignore[arg-type]
)


def additive(space: SearchSpace, seed: int) -> dict[str, Any]:
    """Random scores, which are a fitness without interactions."""
    rng = np.random.default_rng(seed)

    def table(scope: str) -> dict[str, Any]:
        return {d.name: {v: rng.normal() for v in d.values} for d in space.dimensions if d.scope == scope}

    return {**table("network"), "layers": [table("layer") for _ in range(space.codec.max_depth)]}


def value_of(scores: dict[str, Any], architecture: Architecture) -> float:
    total = 0.0
    for name, values in scores.items():
        if name != "layers":
            total += values[getattr(architecture, name)]
    for place, layer in enumerate(scores["layers"][: architecture.depth]):
        total += sum(values[getattr(architecture, name)[place]] for name, values in layer.items())
    return total


def run(strategy: Any, value: Any, n: int) -> list[Trial]:
    """Ask and tell one at a time."""
    trials: list[Trial] = []
    while len(trials) < n and (asked := strategy.ask()):
        probe = asked[0] not in strategy.feasible
        trials.append(Trial(len(trials), 0, asked[0], value(asked[0]), probe=probe))
        strategy.tell(trials[-1:])
    return trials


@settings(max_examples=20, deadline=None)
@given(st.sampled_from([DIGITS, SKIPPING]), st.integers(0, 10**6), st.floats(0.35, 0.8))
def test_one_architecture_after_the_probes_is_the_optimum_of_an_additive_fitness(
    space: SearchSpace, seed: int, share: float
) -> None:
    scores = additive(space, seed)
    feasible = space.feasible(params=share * space.params(space.largest))
    strategy = Sensitivity(feasible, seed=seed)
    trials = run(strategy, lambda each: value_of(scores, each), len(strategy.sensitivities.architectures) + 1)
    best = feasible.argmax(scores)
    assert trials[-1].value == pytest.approx(value_of(scores, best))
    assert strategy.recommend() == [max((t for t in trials if t.eligible), key=lambda t: t.value or 0.0).architecture]


@pytest.mark.parametrize("space", [DIGITS, SKIPPING, TIED])
def test_probes_differ_from_the_largest_in_one_gene(space: SearchSpace) -> None:
    found = Sensitivities(space.feasible())
    assert found.reference == space.largest == found.architectures[0]
    depth = space.largest.depth
    genes = sum((len(d.values) - 1) * (1 if d.tied else depth) for d in space.dimensions)
    assert len(set(found.architectures)) == len(found.architectures) == 1 + genes
    (own,) = space.encode([found.reference])
    for architecture, code in zip(found.architectures[1:], space.encode(found.architectures[1:]), strict=True):
        columns = np.flatnonzero(code != own).tolist()
        differing = {space.codec.column(column)[0] for column in columns}
        assert architecture.depth < depth or len(differing) == 1
        assert architecture.depth < depth or len(columns) == 1 or all(d.tied for d in differing)


def test_values_beyond_the_budget_are_not_probed() -> None:
    feasible = DIGITS.feasible(params=20e3)
    assert feasible.reachable()["embed_dim"] == (32,)
    assert {each.embed_dim for each in Sensitivities(feasible).architectures} == {32}


def test_few_evaluations_are_spread_over_genes_and_layers() -> None:
    found = Sensitivities(load_space("autoformer-tiny").feasible()).architectures[:16]
    assert [(each.embed_dim, each.depth) for each in found[:5]] == [
        (240, 14),
        (192, 14),
        (240, 12),
        (216, 14),
        (240, 13),
    ]
    layers = [each.num_heads.index(3) for each in found[5:] if 3 in each.num_heads]
    assert layers[:4] == [0, 13, 6, 3], "spread before they are dense"


@pytest.mark.parametrize("evaluations", [1, 2, 3, 12, 50])
def test_candidates_are_left_over(evaluations: int) -> None:
    strategy = Sensitivity(load_space("digits").feasible(params=60e3), seed=0, evaluations=evaluations)
    trials = run(strategy, lambda each: -float(each.embed_dim), evaluations)
    assert len(trials) == evaluations
    assert sum(not trial.probe for trial in trials) >= min(10, -(-evaluations // 2))


def test_an_incomplete_gene_is_interpolated() -> None:
    found = Sensitivities(DIGITS.feasible())
    told = {a: Trial(n, 0, a, 2.0 * a.embed_dim / 16 + 3 * a.depth) for n, a in enumerate(found.architectures[:5])}
    del told[next(each for each in told if each.embed_dim == 48)]
    scores = found.scores(told)
    assert scores.tables["embed_dim"] == pytest.approx([-4, -2, 0])
    assert scores.tables["depth"] == pytest.approx([-6, -3, 0])
    assert not scores.tables["num_heads"].any()


@pytest.mark.parametrize("lost", [0, 3])
def test_failed_probes_are_interpolated(lost: int) -> None:
    feasible = DIGITS.feasible(params=60e3)
    strategy = Sensitivity(feasible, seed=0)
    failed = strategy.sensitivities.architectures[lost]
    trials = run(strategy, lambda each: None if each == failed else float(sum(each.num_heads)), 30)
    assert trials[-1].architecture in feasible
    assert max(trial.value or 0.0 for trial in trials if trial.eligible) == 16.0, "four layers of four heads"


def test_all_of_a_small_set_is_evaluated_without_probes() -> None:
    feasible = DIGITS.feasible(params=16e3)
    strategy = Sensitivity(feasible, seed=0, evaluations=feasible.count())
    assert len(run(strategy, lambda each: 0.0, 10**4)) == feasible.count()


def test_a_table_without_the_largest_has_no_probes() -> None:
    space = load_space("digits")
    listed = EnumeratedSet(space, set(space.sample(300, seed=1)) - {space.largest}, {"params": (None, 80e3)})  # type: ignore[dict-item]
    strategy = Sensitivity(listed, seed=0, evaluations=60)
    assert not strategy.sensitivities.architectures
    trials = run(strategy, lambda each: float(sum(each.mlp_ratio)), 60)
    assert max(t.value or 0 for t in trials) == max(float(sum(each.mlp_ratio)) for each in listed.ranked({}))
    assert sum(t.value or 0 for t in trials[10:]) > 1.2 * 50 * np.mean(
        [sum(each.mlp_ratio) for each in listed.ranked({})]
    )
    assert strategy.findings() == {}


def test_a_black_box_cost() -> None:
    heads = FunctionCost("total_heads", lambda architecture: sum(architecture.num_heads))
    feasible = DIGITS.with_cost(heads).feasible(total_heads=(8, 9))
    strategy = Sensitivity(feasible, seed=0, evaluations=40)
    trials = run(strategy, lambda each: -float(abs(each.embed_dim - 48)), 40)
    assert [trial.probe for trial in trials] == [trial.architecture not in feasible for trial in trials]
    assert any(trial.probe for trial in trials)
    assert strategy.recommend()[0].embed_dim == 48


def test_before_any_feasible_trial_it_recommends_the_best_sum() -> None:
    feasible = DIGITS.feasible(params=60e3)
    strategy = Sensitivity(feasible, seed=0)
    trials = run(strategy, lambda each: float(each.embed_dim), 10)
    assert all(trial.probe for trial in trials)
    (best,) = strategy.recommend()
    assert best in feasible
    assert best.embed_dim == 64


def test_a_batch_waits_for_the_probes() -> None:
    strategy = Sensitivity(DIGITS.feasible(params=60e3), seed=0, batch_size=50)
    probes = strategy.ask(50)
    assert probes == strategy.sensitivities.architectures
    assert strategy.keeps > len(probes), "a race drops none"
    assert strategy.ask(50) == []
    strategy.tell([Trial(n, 0, each, 1.0, probe=each in strategy.probes) for n, each in enumerate(probes)])
    assert len(strategy.ask(50)) == 50
    assert strategy.keeps == 1


def test_findings_name_what_does_not_add_up() -> None:
    feasible = DIGITS.feasible(params=60e3)

    def value(each: Architecture) -> float:
        together = 3.0 if each.num_heads[0] == 2 and each.mlp_ratio[1] == 1 else 0.0
        return sum(each.num_heads[:2]) + each.embed_dim / 16 + together

    strategy = Sensitivity(feasible, seed=0, evaluations=80)
    run(strategy, value, 80)
    found = strategy.findings()["additivity"]
    assert found["architectures"] == sum(trial.eligible for trial in strategy.told.values()) == 59
    assert found["least_additive"] in ("num_heads 2 in layer 1", "mlp_ratio 1 in layer 2")
    assert 0 < found["its_error"] <= 3.0
    exact = Sensitivity(feasible, seed=0, evaluations=80)
    run(exact, lambda each: sum(each.num_heads[:2]) + each.embed_dim / 16.0, 80)
    found = exact.findings()["additivity"]
    assert found["median_error"] == pytest.approx(0.0, abs=1e-9)
    assert found["kendall_tau"] == pytest.approx(1.0)


def test_options_are_checked() -> None:
    with pytest.raises(StrategyError, match="candidates must be a whole number of at least 1, got 0"):
        Sensitivity(DIGITS.feasible(), seed=0, candidates=0)
    with pytest.raises(StrategyError, match="design is 'd-optimal' or 'sensitivity', got 'random'"):
        Thompson(DIGITS.feasible(), seed=0, design="random")


class ByLoss:
    """The shipped table, ranked by the loss."""

    def __init__(self) -> None:
        self.table = TableFitness("digits-exhaustive")
        self.architectures = self.table.architectures

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        for each in self.table.evaluate(architectures):
            yield Evaluation(each.architecture, -each.metrics["loss"])


@pytest.mark.parametrize("budget", [40e3, 54e3])
@pytest.mark.parametrize(("strategy", "options"), [("sensitivity", {}), ("thompson", {"design": "sensitivity"})])
def test_it_finds_the_optimum_of_the_shipped_table(budget: float, strategy: str, options: dict[str, Any]) -> None:
    fitness = ByLoss()
    result = Searcher("digits", strategy, fitness, **options).run(budget, evaluations=50, progress=False)
    feasible = Searcher("digits", "random", fitness).feasible(budget, fitness)
    best = max(fitness.evaluate(list(feasible.ranked({}))), key=lambda each: each.value or -np.inf)
    assert result.best.fitness == best.value
    assert all(trial.probe == (trial.architecture not in feasible) for trial in result.trials)
    assert sum(trial.probe for trial in result.trials) > 15
    assert ("additivity" in result.findings) == (strategy == "sensitivity")


def require_same(first: FeasibleSet, second: FeasibleSet) -> None:
    assert Sensitivities(first).architectures == Sensitivities(second).architectures


def test_probes_depend_on_the_reachable_values_alone() -> None:
    require_same(DIGITS.feasible(params=60e3), DIGITS.feasible(params=70e3))
