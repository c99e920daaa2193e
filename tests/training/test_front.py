"""Winners of several budgets are fine-tuned in ascending order, each from what the smaller ones have learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nasformer.architecture import uniform
from nasformer.data import Dataset
from nasformer.errors import RecipeError
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.training import Recipe, evaluate, finetune, finetune_front
from tests.training.conftest import Stop

SMALL, LARGE = uniform(8, 1, 1, 1), uniform(16, 2, 2, 2)
QUIET: dict[str, Any] = {"device": "cpu", "progress": False}


@pytest.fixture
def net(space: SearchSpace) -> Supernet:
    return Supernet(space, seed=0)


def weights(net: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in net.parameters()]


def test_a_larger_network_starts_from_the_smaller_one(net: Supernet, data: Dataset, recipe: Recipe) -> None:
    before = weights(net)
    large, small = finetune_front(net, [LARGE, SMALL], data, recipe, **QUIET)
    assert all(map(torch.equal, before, weights(net))), "the supernet is not modified"
    alone = finetune(net.extract(SMALL), data, recipe, **QUIET)
    assert all(map(torch.equal, weights(alone.net), weights(small.net)))
    net.absorb(small.net)
    assert large.figures["before"]["loss"] == pytest.approx(evaluate(net, data.test, LARGE).loss)
    carried = finetune(net.extract(LARGE), data, recipe, **QUIET)
    assert all(map(torch.equal, weights(carried.net), weights(large.net)))


def test_equal_networks_are_trained_once(net: Supernet, data: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    first, second = finetune_front(net, [SMALL, SMALL], data, recipe, out=tmp_path, **QUIET)
    assert first is second
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_a_stopped_front_goes_on(net: Supernet, data: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    both, own = [SMALL, LARGE], [recipe.replace(epochs=2), recipe]
    whole = finetune_front(net, both, data, own, **QUIET)
    with pytest.raises(KeyboardInterrupt):
        finetune_front(net, both, data, own, out=tmp_path, callback=Stop(3), **QUIET)
    resumed = finetune_front(net, both, data, own, out=tmp_path, resume=True, **QUIET)
    for one, other in zip(whole, resumed, strict=True):
        assert all(map(torch.equal, weights(one.net), weights(other.net)))
    assert [len(each.training.history) for each in resumed] == [2, 4]


def test_each_network_has_a_recipe(net: Supernet, data: Dataset, recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="1 recipes for 2 networks"):
        finetune_front(net, [SMALL, LARGE], data, [recipe], **QUIET)
