"""Sparse tables: strategies that propose neighbours and crossovers work on the rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nasformer.architecture import Architecture
from nasformer.fitness import TableFitness
from nasformer.registry import get_strategy, strategy_names
from nasformer.search import BaseStrategy
from nasformer.searcher import Searcher
from nasformer.space import EnumeratedSet, load_space
from nasformer.strategies.evolution import Evolution
from nasformer.testing import Judge, stream

DIGITS = load_space("digits")
TABLE = EnumeratedSet(DIGITS, DIGITS.sample(300, seed=1), {})


@pytest.mark.parametrize("name", strategy_names())
def test_no_proposal_is_replaced_by_a_random_row(name: str) -> None:
    strategy, judge = get_strategy(name)(TABLE, seed=0, evaluations=120), Judge(TABLE)
    asked = [each for batch in stream(strategy, judge, [1] * 120) for each in batch]
    assert len(set(asked)) == 120
    assert isinstance(strategy, BaseStrategy)
    assert strategy.counts["replaced"] == 0
    assert strategy.counts["infeasible"] + strategy.counts["duplicates"] <= 120


@pytest.mark.parametrize("way", ["reject", "repair", "resample"])
def test_children_become_the_nearest_rows_not_yet_asked(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"population": 20, "parents": 3, "mutants": 20, "crossovers": 0}
    strategy, judge = Evolution(TABLE, seed=0, infeasible=way, **sizes), Judge(TABLE)
    strategy.tell(judge.judge(strategy.ask(20)))
    seen, children, mutate = set(strategy._asked), list[Architecture](), strategy.mutate

    def mutated(parent: Architecture) -> Architecture:
        children.append(mutate(parent))
        return children[-1]

    monkeypatch.setattr(strategy, "mutate", mutated)
    asked = strategy.ask(20)
    assert len(children) == len(asked) == 20
    for child, row in zip(children, asked, strict=True):
        assert row == next(each for each in TABLE.nearest(child) if each not in seen)
        seen.add(row)


def test_on_networks_trained_alone_evolution_is_better_than_random_search(reference: Path) -> None:
    folder = reference / "trained-tables"
    if not folder.exists():
        pytest.skip(f"{folder} is missing")
    space, table = load_space(folder / "hytas.yaml"), TableFitness(folder / "hytas-indian.jsonl")

    def finals(strategy: str) -> list[float]:
        searches = (Searcher(space, strategy, table, seed=seed) for seed in range(10))
        return [search.run(evaluations=150, progress=False).best.fitness for search in searches]

    assert np.median(finals("evolution")) > np.median(finals("random")) + 0.3
