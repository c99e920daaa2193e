"""Actors of a real Ray cluster on this machine say what one process says, also after one of them was killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from nasformer.architecture import Architecture
from nasformer.data import Dataset
from nasformer.errors import FitnessError
from nasformer.fitness import InheritedFitness
from nasformer.fitness.parts import Part
from nasformer.fitness.ray import RayFitness, _Remote, connect
from nasformer.fitness.worker import Ready, evaluate, pack, set_up
from nasformer.search import Evaluation
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from tests.fitness.faulty import Faulty
from tests.fitness.test_parallel import LINE, busy

try:
    import ray
    from ray.cluster_utils import Cluster
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
def test_a_stopped_actor_is_replaced_and_nothing_is_lost(cluster: str) -> None:
    with RayFitness(partial(Faulty, seconds=0.5), address=cluster, workers=2, timeout=15) as shared:
        evaluations = shared.evaluate(LINE)
        found = [next(evaluations)]
        stopped = shared.workers[0].pid
        os.kill(stopped, signal.SIGSTOP)
        found.extend(evaluations)
        assert stopped not in [worker.pid for worker in shared.workers]
    assert plain_values(found) == plain_values(list(Faulty("cpu").evaluate(LINE)))


def test_an_actor_that_computes_for_longer_than_the_timeout_does_not_hang() -> None:
    """The processor time of the thread that evaluates, where another asks for it."""
    actor = _Remote()
    with ThreadPoolExecutor(1) as thread:
        packed = pack(partial(busy, 0.2))
        assert isinstance(thread.submit(actor.call, set_up, np.frombuffer(packed, np.uint8), "cpu", 1).result(), Ready)
        before = actor.pulse()
        thread.submit(actor.call, evaluate, Part((LINE[0],))).result()
        assert 0.15 < actor.pulse() - before < 5
        idle = actor.pulse()
        time.sleep(0.2)
        assert actor.pulse() - idle < 0.002


@pytest.mark.slow
def test_a_machine_that_joins_is_used_from_the_next_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    machines = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        with RayFitness(partial(Faulty, seconds=0.1), address=machines.address) as shared:
            assert len(list(shared.evaluate(LINE))) == len(LINE)
            assert len(shared.workers) == 1
            machines.add_node(num_cpus=1)
            deadline = time.monotonic() + 60
            while len(shared.workers) < 2 and time.monotonic() < deadline:
                assert len(list(shared.evaluate(LINE))) == len(LINE)
            assert len(shared.workers) == 2
    finally:
        ray.shutdown()
        machines.shutdown()  # type: ignore[no-untyped-call]


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
