"""TrainingFreeFitness: equation 9 of Zhou et al. on the network that is extracted, not only on its slices."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nasformer.architecture import Architecture
from nasformer.fitness import TrainingFreeFitness
from nasformer.fitness.training_free import nuclear_norm
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet


def dss(net: nn.Module, ones: torch.Tensor) -> float:
    """The logarithm of the score, in float64, from singular values."""
    net = net.double().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
    net.zero_grad()
    net(ones.double()).sum().backward()
    total = 0.0
    for name, weight in net.named_parameters():
        if weight.grad is None:
            continue
        if name.endswith(("attn.qkv.weight", "attn.proj.weight")):
            norms = [torch.linalg.svdvals(matrix.detach()).sum() for matrix in (weight.grad, weight)]
            total += float(norms[0] * norms[1])
        elif name.endswith(("fc1.weight", "fc2.weight")):
            total += float((weight.detach() * weight.grad).abs().sum())
    return math.log(total)


def scores(fitness: TrainingFreeFitness, archs: list[Architecture]) -> list[float | None]:
    return [evaluation.value for evaluation in fitness.evaluate(archs)]


@pytest.fixture
def archs(space: SearchSpace) -> list[Architecture]:
    return [space.smallest, *space.sample(3, seed=2), space.largest]


def test_it_is_the_score_of_the_extracted_network(space: SearchSpace, archs: list[Architecture]) -> None:
    supernet = Supernet(space, drop_path=0.0, seed=7)
    expected = [dss(supernet.extract(a), torch.ones(1, 1, 8, 8)) for a in archs]
    assert scores(TrainingFreeFitness(space, seed=7), archs) == pytest.approx(expected, rel=1e-6)


def test_it_is_reproducible_by_seed_and_in_any_order(space: SearchSpace, archs: list[Architecture]) -> None:
    first = scores(TrainingFreeFitness(space, seed=7), archs)
    again = TrainingFreeFitness(space, seed=7)
    assert scores(again, archs[::-1])[::-1] == first
    assert scores(again, archs) == first
    assert scores(TrainingFreeFitness(space, seed=8), archs) != first
    assert TrainingFreeFitness(space, seed=8).describe() != again.describe()


def test_every_corner_is_finite_and_larger_scores_higher(space: SearchSpace) -> None:
    smallest, centroid, largest = scores(TrainingFreeFitness(space), [space.smallest, space.centroid, space.largest])
    assert smallest is not None
    assert centroid is not None
    assert largest is not None
    assert -math.inf < smallest < centroid < largest < math.inf


def test_global_randomness_and_gradients_are_left_alone(space: SearchSpace, archs: list[Architecture]) -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    fitness = TrainingFreeFitness(space, seed=7)
    scores(fitness, archs)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("shape", [(3, 5), (40, 8), (64, 64), (1, 1)])
def test_nuclear_norm_is_the_sum_of_singular_values(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert nuclear_norm(matrix) == pytest.approx(float(torch.linalg.svdvals(matrix.double()).sum()), rel=1e-9)
    assert nuclear_norm(torch.ones(shape)) == pytest.approx(math.sqrt(math.prod(shape)), rel=1e-6)
