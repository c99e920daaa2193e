"""TrainingFreeFitness: every proxy of the registry as a fitness."""

from __future__ import annotations

import json
import math

import pytest
import torch

import nasformer as nf
from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness import TrainingFreeFitness
from nasformer.fitness.proxies import get_proxy, proxy_names
from nasformer.space import SearchSpace

every_proxy = pytest.mark.parametrize("proxy", proxy_names())


def scores(fitness: TrainingFreeFitness, archs: list[Architecture]) -> list[float | None]:
    return [evaluation.value for evaluation in fitness.evaluate(archs)]


@pytest.fixture
def archs(space: SearchSpace) -> list[Architecture]:
    return [space.smallest, *space.sample(3, seed=2), space.largest]


@every_proxy
def test_it_is_reproducible_by_seed_and_in_any_order(proxy: str, space: SearchSpace, archs: list[Architecture]) -> None:
    first = scores(TrainingFreeFitness(space, seed=7, proxy=proxy), archs)
    again = TrainingFreeFitness(space, seed=7, proxy=proxy)
    assert scores(again, archs[::-1])[::-1] == first
    assert scores(again, archs) == first
    assert (scores(TrainingFreeFitness(space, seed=8, proxy=proxy), archs) == first) == (proxy == "params")
    assert TrainingFreeFitness(space, seed=8, proxy=proxy).describe() != again.describe()


@pytest.mark.parametrize("proxy", ["dss", "params", "prenas"])
def test_every_corner_is_finite_and_larger_scores_higher(proxy: str, space: SearchSpace) -> None:
    fitness = TrainingFreeFitness(space, proxy=proxy)
    smallest, centroid, largest = scores(fitness, [space.smallest, space.centroid, space.largest])
    assert smallest is not None
    assert centroid is not None
    assert largest is not None
    assert -math.inf < smallest < centroid < largest < math.inf


@every_proxy
def test_global_randomness_is_left_alone(proxy: str, space: SearchSpace, archs: list[Architecture]) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    scores(TrainingFreeFitness(space, seed=7, proxy=proxy), archs)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("proxy", ["az-nas", "dss"])
def test_a_network_of_skipped_layers_fails_and_the_others_do_not(proxy: str) -> None:
    space = SearchSpace(
        "skips",
        embed_dim=nf.choice(16),
        depth=nf.choice(2),
        num_heads=nf.per_layer(0, 2),
        mlp_ratio=nf.per_layer(0, 1),
        head_dim=8,
        image_size=8,
        patch_size=4,
        in_channels=1,
        num_classes=10,
        max_distance=None,
    )
    archs = [Architecture(16, (0, 0), (0, 0)), Architecture(16, (0, 2), (0, 0)), Architecture(16, (0, 0), (1, 0))]
    nothing, *others = TrainingFreeFitness(space, proxy=proxy).evaluate(archs)
    assert nothing.error == "every layer is skipped: there is no weight to score"
    assert all(evaluation.value is not None and math.isfinite(evaluation.value) for evaluation in others)


def test_params_are_those_of_the_space_by_default(space: SearchSpace, archs: list[Architecture]) -> None:
    fitness = TrainingFreeFitness(space)
    assert scores(fitness, archs) == [space.params(each) for each in archs]
    assert fitness.describe() == {"kind": "training-free", "proxy": "params", "seed": 0}


def test_an_unknown_proxy_is_named_with_the_nearest(space: SearchSpace) -> None:
    with pytest.raises(FitnessError, match="unknown proxy 'parms'; did you mean 'params'"):
        TrainingFreeFitness(space, proxy="parms")
    with pytest.raises(FitnessError, match=r"proxy 'not_imported:Mine' is named by a file, but its module is not imp"):
        get_proxy("not_imported:Mine")
    with pytest.raises(FitnessError, match="'json:JSONDecoder' is not a proxy: it lacks the base class"):
        get_proxy(f"{json.__name__}:JSONDecoder")


def test_another_space_is_refused(space: SearchSpace) -> None:
    feasible = nf.load_space("digits-wide").feasible()
    with pytest.raises(FitnessError, match="made for space 'digits', not 'digits-wide'"):
        TrainingFreeFitness(space).check(feasible)
