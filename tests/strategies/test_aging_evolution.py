"""Aging evolution: the oldest dies, a child is one step from its parent, late tells change no age."""

from __future__ import annotations

import pytest

from nasformer.errors import StrategyError
from nasformer.space import load_space
from nasformer.strategies.aging_evolution import AgingEvolution
from nasformer.testing import Judge, stream

FEASIBLE = load_space("autoformer-tiny").feasible(params=(5e6, 8e6))


def test_the_oldest_dies_however_good() -> None:
    strategy, judge = AgingEvolution(FEASIBLE, seed=0, population=10, sample=4), Judge(FEASIBLE)
    stream(strategy, judge, [1] * 10)
    judge.value = lambda architecture: -1.0  # type: ignore[method-assign]  # all later children are worse
    stream(strategy, judge, [1] * 7)
    assert [trial.number for trial in strategy.members] == list(range(7, 17))


def test_a_failed_child_is_never_born() -> None:
    strategy, judge = AgingEvolution(FEASIBLE, seed=0, population=4, sample=2), Judge(FEASIBLE)
    stream(strategy, judge, [4])
    strategy.tell(judge.judge(strategy.ask(2), failed=True))
    assert [trial.number for trial in strategy.members] == [0, 1, 2, 3]


def test_a_child_differs_in_one_gene_or_in_two_where_one_would_leave_the_budget() -> None:
    strategy, judge = AgingEvolution(FEASIBLE, seed=0, population=1, sample=1), Judge(FEASIBLE)
    stream(strategy, judge, [1])
    for _ in range(60):
        parent = strategy.members[0].architecture
        (child,) = strategy.ask(1)
        strategy.tell(judge.judge([child]))
        if (parent.embed_dim, parent.depth) == (child.embed_dim, child.depth):
            pairs = [*zip(parent.num_heads, child.num_heads, strict=True)]
            pairs += [(int(2 * a), int(2 * b)) for a, b in zip(parent.mlp_ratio, child.mlp_ratio, strict=True)]
            assert 1 <= sum(a != b for a, b in pairs) <= 2


def test_the_order_of_tells_is_no_matter() -> None:
    streams = []
    for turn in (1, -1):
        strategy, judge = AgingEvolution(FEASIBLE, seed=0, population=10, sample=4), Judge(FEASIBLE)
        asked = []
        for _ in range(8):
            asked += (batch := strategy.ask(5))
            strategy.tell(judge.judge(batch)[::turn])
        streams.append(asked)
    assert streams[0] == streams[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"population": 0}, "population must be a whole number of at least 1, got 0"),
        ({"sample": 2.5}, "sample must be a whole number of at least 1, got 2.5"),
        ({"population": 5, "sample": 6}, "sample must be at most the population of 5, got 6"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, float], words: str) -> None:
    with pytest.raises(StrategyError, match=words):
        AgingEvolution(FEASIBLE, seed=0, **options)  # type: ignore[arg-type]
