"""The divergence objective: how far the outputs of a subnet are from those of the full network."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from nasformer.data import Dataset
from nasformer.fitness import InheritedFitness, ParallelFitness
from nasformer.registry import fitness_notation
from nasformer.search import Evaluation
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet

DIVERGENCE: dict[str, Any] = {"device": "cpu", "objective": "divergence"}


@pytest.fixture(name="net")
def net_of_varied_outputs(net: Supernet) -> Supernet:
    """One whose subnets differ more than those of a network without training."""
    varied = deepcopy(net)
    with torch.no_grad():
        varied.head.weight.mul_(100.0)
    return varied


def told(fitness: Any, archs: Sequence[Any]) -> list[Evaluation]:
    found = {each.architecture: each for each in fitness.evaluate(archs)}
    return [found[each] for each in archs]


def by_hand(net: Supernet, small: torch.nn.Module, data: Dataset) -> float:
    net.eval()
    small.eval()
    total = 0.0
    with torch.no_grad():
        for index in range(len(data.search)):
            image = data.search[index][0][None]
            full, own = net(image).double().log_softmax(1), small(image).double().log_softmax(1)
            total += float(F.kl_div(own, full, reduction="sum", log_target=True))
    return total / len(data.search)


def test_it_is_the_divergence_of_the_extracted_network(space: SearchSpace, net: Supernet, digits: Dataset) -> None:
    archs = [space.smallest, *space.sample(2, seed=4)]
    for evaluation in InheritedFitness(net, digits.search, batch_size=50, **DIVERGENCE).evaluate(archs):
        expected = by_hand(net, net.extract(evaluation.architecture), digits)
        assert expected > 0.01
        assert evaluation.value == pytest.approx(-expected, rel=1e-4)
        assert evaluation.metrics["divergence"] == -(evaluation.value or 0.0)
        assert {"accuracy", "loss", "standard_error"} <= evaluation.metrics.keys()


def test_the_full_network_has_none(net: Supernet, digits: Dataset) -> None:
    (evaluation,) = InheritedFitness(net, digits.search, **DIVERGENCE).evaluate([net.architecture])
    assert evaluation.value == pytest.approx(0.0, abs=1e-6)


def test_it_needs_no_labels(space: SearchSpace, net: Supernet, digits: Dataset) -> None:
    images = torch.stack([digits.search[index][0] for index in range(60)])
    splits = [[(image, label) for image in images] for label in (0, 7)]
    first, second = (told(InheritedFitness(net, split, **DIVERGENCE), space.sample(3)) for split in splits)
    assert [each.value for each in first] == [each.value for each in second]


def test_the_full_network_runs_once(space: SearchSpace, net: Supernet, digits: Dataset) -> None:
    fitness = InheritedFitness(net, digits.search, **DIVERGENCE)
    calls: list[int] = []
    hook = net.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    for seed in range(3):
        told(fitness, space.sample(2, seed=seed))
    hook.remove()
    assert sum(calls) == len(digits.search)


def test_a_race_keeps_the_same_values(space: SearchSpace, net: Supernet, digits: Dataset) -> None:
    archs = list(dict.fromkeys(space.sample(8, seed=1)))
    whole = told(InheritedFitness(net, digits.search, **DIVERGENCE), archs)
    raced = told(InheritedFitness(net, digits.search, racing={"first": 40}, **DIVERGENCE), archs)
    assert any(each.dropped for each in raced)
    for exact, estimate in zip(whole, raced, strict=True):
        tolerance = 5 * (estimate.standard_error or 0.0) if estimate.dropped else 1e-4
        assert estimate.value == pytest.approx(exact.value, abs=tolerance)
    best = max(range(len(archs)), key=lambda index: whole[index].value or 0.0)
    assert not raced[best].dropped


@pytest.mark.slow
@pytest.mark.parametrize("racing", [False, True])
def test_workers_agree(space: SearchSpace, net: Supernet, digits: Dataset, racing: bool) -> None:
    build = partial(InheritedFitness, net, digits.search, objective="divergence", racing=racing)
    archs = list(dict.fromkeys(space.sample(6, seed=2)))
    alone = told(build(device="cpu"), archs)
    with ParallelFitness(build, workers=2, devices=["cpu"]) as fitness:
        shared = told(fitness, archs)
    assert [each.value for each in shared] == pytest.approx([each.value for each in alone], abs=1e-5)


def test_it_is_written_in_its_unit(net: Supernet, digits: Dataset) -> None:
    text = fitness_notation(InheritedFitness(net, digits.search, **DIVERGENCE).describe())["text"]
    assert text(-0.25) == "0.2500 nats"
