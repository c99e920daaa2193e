"""Actors of a real Ray cluster on this machine say what one process says, also after one of them was killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from nasformer.architecture import Architecture
from nasformer.data import Dataset
from nasformer.errors import FitnessError
from nasformer.fitness import InheritedFitness
from nasformer.fitness.ray import RayFitness, connect
from nasformer.search import Evaluation
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet

try:
    import ray
except ImportError:
    pytest.skip("Ray is not installed: pip install 'nasformer[ray]'", allow_module_level=True)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cluster of two CPUs that ends with the test."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield "local"
    ray.shutdown()


def plain_values(evaluations: list[Evaluation]) -> dict[Architecture, tuple[float | None, dict[str, float]]]:
    return {each.architecture: (each.value, dict(each.metrics)) for each in evaluations}


def test_two_actors_of_which_one_is_killed_say_what_one_process_says(
    net: Supernet, digits: Dataset, space: SearchSpace, cluster: str
) -> None:
    archs = list(dict.fromkeys(space.sample(24, seed=2)))
    build = partial(InheritedFitness, net, digits.search, objective="loss")
    plain = build(device="cpu")
    with pytest.raises(FitnessError, match="5 workers do not fit the Ray cluster 'local': it has 2 times 1 CPUs"):
        RayFitness(build, address=cluster, workers=5)
    with RayFitness(build, address=cluster, workers=2) as shared:
        assert shared.describe() == plain.describe()
        found = []
        for evaluation in shared.evaluate(archs):
            found.append(evaluation)
            if len(found) == 3:
                killed = shared.workers[-1].pid
                os.kill(killed, signal.SIGKILL)
        assert killed not in [worker.pid for worker in shared.workers]
        assert len(found) == len(archs)
        assert plain_values(found) == plain_values(list(plain.evaluate(archs)))


@pytest.mark.slow
def test_a_race_over_actors_is_that_of_one_process(
    net: Supernet, digits: Dataset, space: SearchSpace, cluster: str
) -> None:
    archs = list(dict.fromkeys(space.sample(24, seed=2)))
    build = partial(InheritedFitness, net, digits.search, objective="loss", racing={"first": 40, "error": 0.2})
    expected = plain_values(list(build(device="cpu").evaluate(archs)))
    with RayFitness(build, address=cluster, workers=2) as shared:
        assert plain_values(list(shared.evaluate(archs))) == expected


@pytest.mark.parametrize(
    ("address", "reason"),
    [("nonsense", "an address is auto, local or HOST:PORT"), ("127.0.0.1:1", "Connection refused")],
)
def test_a_cluster_that_is_not_there_is_named(address: str, reason: str) -> None:
    with pytest.raises(FitnessError, match=f"no Ray cluster at '{address}': .*{reason}; start one with 'ray start"):
        connect(address)
