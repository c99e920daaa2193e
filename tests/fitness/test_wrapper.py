"""What a fitness knows is not lost where another is around it: noise, a cache, workers, or several of them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from nasformer.fitness import CachedFitness, NoisyFitness, ParallelFitness, TableFitness
from nasformer.search import CallableFitness, Fitness, known
from nasformer.search.evaluation import OPTIONAL, WrapperFitness, describe_fitness
from nasformer.searcher import Searcher
from nasformer.space import SearchSpace

WRAPPERS = ("cached", "noisy", "parallel", "noisy cached parallel")


def on_device(path: Path, *, device: str) -> TableFitness:
    return TableFitness(path)


@pytest.fixture(params=WRAPPERS)
def wrapped(request: pytest.FixtureRequest, table: Path, tmp_path: Path) -> Fitness:
    around: dict[str, Callable[[Fitness], Fitness]] = {
        "cached": lambda fitness: CachedFitness(fitness, tmp_path / "cache.sqlite"),
        "noisy": lambda fitness: NoisyFitness(fitness, 0.5),
        "parallel": lambda fitness: ParallelFitness(partial(on_device, table), workers=2, devices=["cpu"]),
    }
    fitness: Fitness = TableFitness(table)
    for name in reversed(request.param.split()):
        fitness = around[name](fitness)
    return fitness


def test_a_table_keeps_its_true_values_and_its_optimum(wrapped: Fitness, table: Path, space: SearchSpace) -> None:
    exact, feasible = TableFitness(table), space.feasible(params=50e3)
    assert known.optimum(wrapped, feasible) == exact.optimum(feasible) is not None
    for architecture in exact.architectures[:9]:
        assert known.true_value(wrapped, architecture) == exact.true_value(architecture) is not None
        assert known.test_value(wrapped, architecture) == exact.test_value(architecture)


def test_a_search_is_confined_to_the_table_inside(wrapped: Fitness, table: Path, space: SearchSpace) -> None:
    assert Searcher(space, "random", wrapped).feasible(fitness=wrapped).count() == len(
        TableFitness(table).architectures
    )


def test_the_inner_fitness_is_told_with_the_outer_one() -> None:
    plain = CallableFitness(lambda architecture: architecture.depth)
    assert describe_fitness(WrapperFitness(plain)) == plain.describe()


@pytest.mark.parametrize("name", OPTIONAL)
def test_what_the_inner_fitness_has_not_the_outer_one_has_not(name: str) -> None:
    assert not hasattr(WrapperFitness(CallableFitness(lambda architecture: architecture.depth)), name)


def test_nothing_else_passes(table: Path) -> None:
    wrapper = pickle.loads(pickle.dumps(WrapperFitness(TableFitness(table))))
    assert wrapper.true_value(wrapper.architectures[0]) is not None
    with pytest.raises(AttributeError, match="'WrapperFitness' has no attribute 'path'"):
        wrapper.path  # noqa: B018 (the lookup itself)
