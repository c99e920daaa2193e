"""Nevergrad: sequential optimizers are asked one at a time, others are refused by name."""

from __future__ import annotations

import pytest

from nasformer.errors import StrategyError
from nasformer.registry import get_strategy
from nasformer.search import Strategy
from nasformer.space import load_space
from nasformer.strategies.nevergrad import Nevergrad
from nasformer.testing import Judge, stream

FEASIBLE = load_space("digits").feasible(params=(40e3, 80e3))


def make(optimizer: str, **options: int) -> Strategy:
    return get_strategy("nevergrad")(FEASIBLE, seed=0, evaluations=40, optimizer=optimizer, **options)


@pytest.mark.parametrize("optimizer", ["Cobyla", "Powell", "OnePlusOne", "TwoPointsDE", "NGOpt", "ScrHammersleySearch"])
def test_optimizers_of_every_kind_search_within_the_budget(optimizer: str) -> None:
    judge = Judge(FEASIBLE)
    strategy = make(optimizer, batch_size=4)
    while len(judge.trials) < 40:
        asked = strategy.ask(4)
        assert asked
        strategy.tell(judge.judge(asked))
    seen = [trial.architecture for trial in judge.trials]
    assert len(set(seen)) == len(seen)
    assert all(architecture in FEASIBLE for architecture in seen)


def test_a_sequential_optimizer_is_asked_one_at_a_time() -> None:
    strategy, judge = make("Cobyla", batch_size=8), Judge(FEASIBLE)
    first = strategy.ask(8)
    assert len(first) == 1
    assert strategy.ask(1) == []
    strategy.tell(judge.judge(first))
    assert len(strategy.ask(8)) == 1


def test_an_optimizer_whose_package_is_missing_is_refused_by_name() -> None:
    with pytest.raises(StrategyError, match=r"Nevergrad's optimizer 'SMAC3' cannot be used: .*No module named"):
        make("SMAC3").ask(1)


def test_a_misspelt_optimizer_gets_the_nearest_name() -> None:
    with pytest.raises(StrategyError, match="no optimizer 'TwoPointDE'; did you mean 'TwoPointsDE'"):
        make("TwoPointDE")


def test_optimizers_are_reproducible() -> None:
    one, two = (stream(make("TwoPointsDE"), Judge(FEASIBLE), [5] * 6) for _ in range(2))
    assert one == two


def test_a_seed_that_nevergrad_cannot_take_is_one_line() -> None:
    with pytest.raises(StrategyError, match=r"Nevergrad takes a seed below 2\*\*32, got 4294967296"):
        Nevergrad(load_space("digits").feasible(), seed=2**32)
