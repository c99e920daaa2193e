"""grow_front: the networks of several budgets, each from what the smaller ones have learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import nasformer as nf
from nasformer.cost import Bounds
from nasformer.errors import BudgetError, RecipeError
from nasformer.fitness import Finetuning
from nasformer.growth.affordable import affordable_limits
from nasformer.growth.first import FirstThese
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.training import evaluate
from tests.tiny import corners
from tests.training.conftest import Stop

MACS = 4e8
QUIET: dict[str, Any] = {"macs": MACS, "evaluations": 8, "device": "cpu", "progress": False, "least_epochs": 0}


@pytest.fixture(scope="module")
def net() -> nf.Supernet:
    space = SearchSpace(
        "varied",
        embed_dim=choice(8, 16),
        depth=choice(1, 2),
        num_heads=per_layer(2, 4),
        mlp_ratio=per_layer(1, 4),
        head_dim=4,
        image_size=4,
        patch_size=1,
        in_channels=1,
        num_classes=4,
    )
    return nf.Supernet(space, seed=0)


@pytest.fixture(scope="module")
def data() -> nf.Dataset:
    train, search, test = (corners(64, seed, noise=0.5) for seed in range(3))
    return nf.Dataset(train=train, search=search, test=test, name="corners")


@pytest.fixture(scope="module")
def recipe() -> nf.Recipe:
    return nf.Recipe(epochs=2, batch_size=8, learning_rate=1e-2, warmup_epochs=0, mixup=0, cutmix=0, drop_path=0)


@pytest.fixture(scope="module")
def budgets(net: nf.Supernet) -> list[dict[str, float]]:
    low, high = net.space.feasible().bounds("macs")
    return [{"macs": high}, {"macs": (low + high) / 2}]


@pytest.fixture(scope="module")
def front(net: nf.Supernet, data: nf.Dataset, recipe: nf.Recipe, budgets: Any) -> nf.GrownFront:
    return nf.grow_front(net, data, budgets, recipe, **QUIET)


def test_networks_are_searched_between_the_budgets(front: nf.GrownFront, budgets: Any, net: nf.Supernet) -> None:
    most, middle = (each["macs"] for each in budgets)
    assert [each.limits for each in front.grown] == [{"macs": Bounds(None, middle)}, {"macs": Bounds(middle, most)}]
    for each in front.grown:
        assert net.space.macs(each.architecture) in each.limits["macs"]


def test_a_winner_is_the_best_within_its_budget(front: nf.GrownFront, data: nf.Dataset) -> None:
    small, large = front.grown
    values = [-evaluate(each.tuned.net, data.search).loss for each in (small, large)]
    assert [each.evaluation.value for each in (small, large)] == pytest.approx(values, abs=1e-5)
    best = large if values[1] > values[0] else small
    assert front.winners == (best, small), "in the order of the budgets"


def test_a_larger_network_starts_from_the_smaller_one(front: nf.GrownFront, net: nf.Supernet, data: nf.Dataset) -> None:
    small, large = front.grown
    copy = nf.Supernet(net.space, seed=0)
    copy.absorb(small.tuned.net)
    before = evaluate(copy, data.test, large.architecture).loss
    assert large.tuned.figures["before"]["loss"] == pytest.approx(before, abs=1e-5)


def test_the_compute_is_that_asked_for(front: nf.GrownFront) -> None:
    assert front.macs == pytest.approx(MACS, rel=0.05)
    assert front.grown[0].macs > front.grown[1].macs


def test_a_stopped_call_goes_on(
    net: nf.Supernet, data: nf.Dataset, recipe: nf.Recipe, budgets: Any, front: nf.GrownFront, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        nf.grow_front(net, data, budgets, recipe, out=tmp_path, callback=Stop(3), **QUIET)
    again = nf.grow_front(net, data, budgets, recipe, out=tmp_path, resume=True, **QUIET)
    assert [each.architecture for each in again.grown] == [each.architecture for each in front.grown]
    assert [each.evaluation.value for each in again.grown] == [each.evaluation.value for each in front.grown]


def test_networks_that_the_compute_trains_too_shortly_are_not_searched(
    net: nf.Supernet, data: nf.Dataset, recipe: nf.Recipe, budgets: Any, tmp_path: Path
) -> None:
    low, high = net.space.feasible().bounds("macs")
    most = 0.6 * low + 0.4 * high
    how = {**QUIET, "least_epochs": MACS / (3 * 64 * most)}
    front = nf.grow_front(net, data, budgets, recipe, out=tmp_path, **how)
    assert front.most == pytest.approx(most)
    assert [each.limits for each in front.grown] == [{"macs": Bounds(None, front.most)}], "both budgets are beyond"
    assert front.winners == (front.grown[0], front.grown[0])
    assert front.grown[0].tuned.training.recipe.epochs > 0
    assert front.macs == pytest.approx(MACS, rel=0.05), "one network has all of it"


def test_only_steps_that_are_worth_it_are_left(net: nf.Supernet, budgets: Any) -> None:
    small, large = ({"macs": Bounds(None, each["macs"])} for each in reversed(budgets))
    reached = net.space.feasible(**small).bounds("macs")[1]
    assert affordable_limits(net.space, [small, large], 1e9) == [small, large]
    assert affordable_limits(net.space, [small, large], 1.1 * reached) == [small]
    assert affordable_limits(net.space, [small, large], 1.3 * reached) == [
        small, {"macs": Bounds(None, 1.3 * reached)},
    ]  # fmt: skip
    other = {"params": Bounds(None, net.space.feasible().bounds("params")[1])}
    assert affordable_limits(net.space, [small, other], 1.1 * reached) == [
        small, {**other, "macs": Bounds(None, 1.1 * reached)},
    ], "networks of a budget of another kind may be outside"  # fmt: skip


def test_too_little_compute_is_refused(net: nf.Supernet, data: nf.Dataset, recipe: nf.Recipe, budgets: Any) -> None:
    with pytest.raises(RecipeError, match="take all of the compute, 1e\\+06"):
        nf.grow_front(net, data, budgets, recipe, **{**QUIET, "macs": 1e6})


def test_seconds_are_kept_and_resumed(
    net: nf.Supernet, data: nf.Dataset, recipe: nf.Recipe, budgets: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {**QUIET, "macs": None, "seconds": 4.0, "confirm": 2, "out": tmp_path}
    front = nf.grow_front(net, data, budgets, recipe, **how)
    assert all(len(each.search.confirmed) == 2 for each in front.grown)
    monkeypatch.setattr(Finetuning, "confirm", None)  # what was confirmed is not fine-tuned again
    again = nf.grow_front(net, data, budgets, recipe, **how, resume=True)
    assert [each.tuned.training.recipe for each in again.grown] == [each.tuned.training.recipe for each in front.grown]
    assert [each.evaluation.value for each in again.grown] == [each.evaluation.value for each in front.grown]


def test_what_another_strategy_has_is_its_own(net: nf.Supernet) -> None:
    made = FirstThese(
        net.space.feasible(), seed=0, evaluations=20, then="evolution", first=[net.space.smallest.to_dict()]
    )
    assert made.keeps == getattr(made.inner, "keeps") > 1, "races keep the parents"  # noqa: B009 - not of the protocol
    assert made.ask(2) == [net.space.smallest]
    assert not hasattr(made, "nothing")


def test_the_best_that_keeps_its_budget_wins(
    net: nf.Supernet, data: nf.Dataset, recipe: nf.Recipe, budgets: Any, front: nf.GrownFront
) -> None:
    best = front.grown[0].architecture

    def keeps(architecture: nf.Architecture, limits: Any) -> bool:
        return architecture != best and limits["macs"].high == budgets[1]["macs"]

    other = nf.grow_front(net, data, budgets[1:], recipe, keeps=keeps, **{**QUIET, "evaluations": 4})
    ranked = [trial.architecture for trial in sorted(other.grown[0].search.trials, key=lambda trial: trial.rank)]
    assert other.winners[0].architecture == next(each for each in ranked if each != best)
    with pytest.raises(BudgetError, match="none of the best 4 networks keeps macs <= "):
        nf.grow_front(net, data, budgets[1:], recipe, keeps=lambda *_: False, **{**QUIET, "evaluations": 4})


def test_macs_and_seconds_are_refused(net: nf.Supernet, data: nf.Dataset, recipe: nf.Recipe, budgets: Any) -> None:
    with pytest.raises(RecipeError, match=r"give macs or seconds, got 400000000\.0 and 1"):
        nf.grow_front(net, data, budgets, recipe, seconds=1, **QUIET)


def test_a_budget_without_upper_bound_is_refused(net: nf.Supernet, data: nf.Dataset, recipe: nf.Recipe) -> None:
    with pytest.raises(BudgetError, match="no upper bound"):
        nf.grow_front(net, data, [{"macs": (1, None)}, {"macs": 60_000}], recipe, **QUIET)
