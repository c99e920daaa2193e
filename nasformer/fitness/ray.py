"""RayFitness: evaluates populations with the actors of a Ray cluster.

Weights and images are put into the cluster's object store once; each actor builds its fitness from them once.
``pool`` hands out parts and replaces lost actors, as it does processes. Ray is the extra ``ray``.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import numpy as np

from nasformer.errors import FitnessError
from nasformer.fitness.parallel import SharedFitness
from nasformer.fitness.pool import TIMEOUT, Pool
from nasformer.fitness.worker import Build, pack, set_up
from nasformer.search import as_fitness


class RayFitness(SharedFitness):
    """A fitness on the actors of a Ray cluster.

    Args:
        build: Called as ``build(device=…)`` in each actor; pickled with its data. Functions and classes of a script or
            notebook travel with it.
        address: The cluster of this machine: "auto" or "HOST:PORT"; or "local" for one on this
            machine that ends with this process. An existing connection of this process is used.
        workers: Number of actors; None: one per GPU of the cluster, else per CPU, counted again at each batch: machines
            may join.
        device: Device of each actor: "auto" is a GPU each, if the cluster has any.
        threads: Torch threads, and reserved CPUs, of each actor.
        timeout: Seconds after which an actor that has neither answered nor computed is replaced, as one that died. An
            endless loop computes, so it is not noticed; a fitness that waits for something remote needs None: no limit.

    Raises:
        FitnessError: Ray is not installed, the cluster is unavailable, or has no room for an actor.
    """

    def __init__(
        self,
        build: Build,
        *,
        address: str = "auto",
        workers: int | None = None,
        device: str = "auto",
        threads: int = 1,
        timeout: float | None = TIMEOUT,
    ) -> None:
        if workers is not None and workers < 1:
            raise FitnessError(f"workers must be at least 1, got {workers}", workers)
        ray = connect(address)
        gpus = device == "auto" or device.startswith("cuda")
        needs = {"num_cpus": threads, "num_gpus": int(gpus and ray.cluster_resources().get("GPU", 0) >= 1)}
        room = _room(ray, needs)
        if (workers or 1) > room:
            unit = "GPUs" if needs["num_gpus"] else f"times {threads} CPUs"
            raise FitnessError(
                f"{workers or 1} workers do not fit the Ray cluster {address!r}: it has {room} {unit}", room
            )
        copy = as_fitness(build(device="cpu"))
        packed = ray.put(np.frombuffer(pack(build), np.uint8))  # arrays are read in place, bytes copied

        def start(number: int) -> tuple[Actor, Future[Any]]:
            actor = Actor(ray, needs)
            return actor, actor.call(set_up, packed, "auto" if needs["num_gpus"] else "cpu", threads)

        super().__init__(copy, Pool(start, lambda: workers or max(1, _room(ray, needs)), timeout))


class Actor:
    """A worker as a Ray actor.

    Args:
        ray: The connected module.
        needs: ``num_cpus`` and ``num_gpus`` of the actor.
    """

    def __init__(self, ray: Any, needs: dict[str, int]) -> None:
        self._ray, self._used = ray, 0.0
        self._actor = ray.remote(max_restarts=0, concurrency_groups={"pulse": 1}, **needs)(_Remote).remote()
        self._reply = self._ask_pulse()

    def call(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Call a function in the actor."""
        future: Future[Any] = self._actor.call.remote(function, *arguments).future()
        return future

    def pulse(self) -> float:
        """Return the processor seconds at its last reply."""
        if self._ray.wait([self._reply], timeout=0)[0]:
            with suppress(self._ray.exceptions.RayError):  # it is gone
                self._used, self._reply = self._ray.get(self._reply), self._ask_pulse()
        return self._used

    def stop(self) -> None:
        """Kill the actor."""
        self._ray.kill(self._actor)

    def _ask_pulse(self) -> Any:
        return self._actor.pulse.options(concurrency_group="pulse").remote()


class _Remote:
    """The actor itself: a thread that computes, and one that reports its processor seconds."""

    _thread: int | None = None

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self._thread = threading.get_ident()
        return function(*arguments)

    def pulse(self) -> float:
        if self._thread is None or not hasattr(time, "pthread_getcpuclockid"):  # macOS
            return time.process_time()
        return time.clock_gettime(time.pthread_getcpuclockid(self._thread))  # Ray's own threads are never idle


def _room(ray: Any, needs: dict[str, int]) -> int:
    """Return the number of actors that a cluster has room for."""
    resources = ray.cluster_resources()
    return int(resources.get("GPU", 0)) if needs["num_gpus"] else int(resources.get("CPU", 0)) // needs["num_cpus"]


def connect(address: str) -> Any:
    """Return Ray's module, connected to a cluster.

    Raises:
        FitnessError: Ray is not installed, or the cluster is unavailable.
    """
    try:
        import ray
    except ImportError as error:
        raise FitnessError("Ray is not installed; pip install 'nasformer[ray]'", address) from error
    if not ray.is_initialized():
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            _check_reachable(address)
            ray.init(address=address, include_dashboard=False if address == "local" else None, log_to_driver=False)
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0]
            message = f"no Ray cluster at {address!r}: {reason}; start one with 'ray start --head'"
            raise FitnessError(message, address) from error
    return ray


def _check_reachable(address: str) -> None:
    """Raise OSError or ValueError for an address without a cluster, which Ray itself would try for minutes."""
    if address not in ("auto", "local"):
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or "/" in host:
            raise ValueError("an address is auto, local or HOST:PORT")
        socket.create_connection((host, int(port)), timeout=10).close()
