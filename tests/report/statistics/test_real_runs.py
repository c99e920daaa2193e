"""Real searches: a strategy and its twin are rarely called different, and a planted advantage is found.

Runs are drawn from a pool of real ones, so that hundreds of comparisons cost a few hundred searches. Any two draws
from one pool are exchangeable: whatever is called different between them is called so by chance.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nasformer.architecture import Architecture
from nasformer.fitness import TableFitness
from nasformer.report.statistics import Pair, analyse
from nasformer.report.statistics.across import _by_source, _friedman, _rank
from nasformer.report.statistics.pairs import detectable, signed_rank_p
from nasformer.searcher import Searcher
from nasformer.space import FeasibleSet, load_space
from nasformer.strategies.random import Random
from tests.report.statistics.comparisons import SPACE, compared

LEVEL = 0.05
Pool = NDArray[np.float64]


def accuracy(architecture: Architecture) -> float:
    """Return a made-up accuracy in steps of one image in 540, as a small search split gives."""
    score = 70 + 1.3 * sum(architecture.num_heads) + 0.9 * sum(architecture.mlp_ratio) - architecture.embed_dim / 40
    return round(score * 5.4) / 5.4


def pool(strategy: str, runs: int, evaluations: int, fitness: Callable[[Architecture], float] = accuracy) -> Pool:
    """Return told values of real searches, (runs, evaluations), each with a seed of its own."""
    return np.array([_told(strategy, seed, evaluations, fitness) for seed in range(runs)])


def _told(strategy: str, seed: int, evaluations: int, fitness: Callable[[Architecture], float]) -> list[float | None]:
    search = Searcher(SPACE, strategy=strategy, fitness=fitness, seed=seed)
    return [trial.value for trial in search.run({"params": 80e3}, evaluations=evaluations, progress=False).trials]


def twins(runs: Pool, seeds: int, strategies: int, repeats: int) -> list[tuple[Pair, ...]]:
    """Return the pairs of comparisons between strategies that are one and the same, with other seeds."""
    chance = np.random.default_rng(0)
    found = []
    for _ in range(repeats):
        drawn = runs[chance.permutation(len(runs))[: seeds * strategies]].reshape(strategies, seeds, -1)
        labelled = {f"twin {number}": told for number, told in enumerate(drawn)}
        found.append(analyse(compared(labelled), level=LEVEL, resamples=10).tasks[0].pairs)
    return found


def different(found: list[tuple[Pair, ...]]) -> int:
    return sum(any(pair.verdict in ("better", "worse") for pair in pairs) for pairs in found)


@pytest.fixture(scope="module")
def random_runs() -> Pool:
    return pool("random", 80, 24)


@pytest.mark.slow
def test_a_strategy_and_its_twin_are_rarely_called_different(random_runs: Pool) -> None:
    found = twins(random_runs, seeds=20, strategies=2, repeats=40)
    assert different(found) <= 6  # of 40: more has a chance of 1 % at 5 % each
    assert not any(pair.identical for pairs in found for pair in pairs)


def test_four_times_the_evaluations_are_found_to_be_better(random_runs: Pool) -> None:
    short = random_runs.copy()
    short[:, 6:] = np.nan
    pair = analyse(compared({"more": random_runs[:40], "fewer": short[40:]}), resamples=10).tasks[0].pairs[0]
    assert pair.verdict == "better"
    assert pair.effect_a12 is not None
    assert pair.effect_a12 > 0.6


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["random", "aging-evolution"])
@pytest.mark.parametrize("strategies", [2, 4])
def test_twins_are_called_different_in_at_most_18_of_200_repeats(strategy: str, strategies: int) -> None:
    found = twins(pool(strategy, 240, 60), seeds=20, strategies=strategies, repeats=200)
    print(f"{strategy}, {strategies} twins: called different in {different(found)} of {len(found)} repeats")
    assert different(found) <= 18


@pytest.mark.slow
def test_an_advantage_of_the_stated_size_is_found_four_times_in_five() -> None:
    ends = pool("aging-evolution", 240, 60).max(axis=1) + np.random.default_rng(1).normal(scale=0.2, size=240)
    chance = np.random.default_rng(2)
    found = []
    for repeat in range(300):
        a, b, c, d = ends[chance.permutation(240)[:80]].reshape(4, 20)
        stated = detectable(a - b, LEVEL, 500, seed=repeat)
        assert stated is not None
        found.append(signed_rank_p(c + stated - d) <= LEVEL)
    print(f"stated differences found in {sum(found)} of {len(found)} repeats")
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)


@pytest.mark.slow
def test_a_planted_advantage_is_found_among_equals() -> None:
    runs = pool("random", 240, 60)
    chance = np.random.default_rng(3)
    found = []
    for _ in range(50):
        drawn = runs[chance.permutation(len(runs))[:80]].reshape(4, 20, -1)
        labelled = dict(zip(("planted", "b", "c", "d"), drawn + np.array([3.0, 0, 0, 0])[:, None, None], strict=True))
        task = analyse(compared(labelled), resamples=10).tasks[0]
        found.append(task.ranking[0].label == "planted" and all(p.verdict == "better" for p in task.pairs[:3]))
    print(f"planted advantage found against all three in {sum(found)} of {len(found)} repeats")
    assert np.mean(found) > 0.8


@pytest.fixture(scope="module")
def table_ends(reference: Path) -> dict[tuple[str, int], Pool]:
    """Best values of random searches on real tables within two budgets each, (runs,), with common seeds."""
    folders = {"trained-tables": HYTAS, "imagenet-inherited": IMAGENET}
    found: dict[tuple[str, int], Pool] = {}
    for folder, (spaces, names) in folders.items():
        for name in names:
            path = reference / folder / f"{name}.jsonl"
            if not path.exists():
                pytest.skip(f"{path} is missing")
            space, table = load_space(spaces.get(name, reference / folder / "hytas.yaml")), TableFitness(path)
            middle = float(np.median([space.params(each) for each in table.architectures]))
            for budget, limits in enumerate((middle, None)):
                feasible = Searcher(space, "random", table).feasible(limits, table)
                found[name, budget] = np.array([_end(feasible, table, seed) for seed in range(160)])
    return found


HYTAS: tuple[dict[str, str], list[str]] = ({}, ["hytas-indian", "hytas-houston", "hytas-pavia"])
IMAGENET = ({"tiny": "autoformer-tiny", "small": "autoformer-small"}, ["tiny", "small"])


def _end(feasible: FeasibleSet, table: TableFitness, seed: int) -> float:
    asked = Random(feasible, seed=seed).ask(40)
    return max(evaluation.value for evaluation in table.evaluate(asked) if evaluation.value is not None)


@pytest.mark.slow
@pytest.mark.parametrize("twins", [3, 4, 8])
def test_over_real_tables_twins_are_ranked_alike(table_ends: dict[tuple[str, int], Pool], twins: int) -> None:
    chance, alarms = np.random.default_rng(0), {"tables count once": 0, "tasks count": 0}
    for _ in range(200):
        seeds = chance.permutation(160)[: 20 * twins].reshape(twins, 20)
        ranks = [_rank((np.median(ends[seeds], axis=1) / 1e-9).tolist()) for ends in table_ends.values()]
        for counted, sources in zip(alarms, ([name for name, _ in table_ends], [*map(str, table_ends)]), strict=True):
            p = _friedman(_by_source(ranks, sources))[1]
            alarms[counted] += p is not None and p <= LEVEL
    print(f"{twins} twins over {len(table_ends)} tasks: called different in {alarms} of 200 repeats")
    assert alarms["tables count once"] <= 18
