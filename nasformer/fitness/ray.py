"""RayFitness: evaluates populations with the actors of a Ray cluster.

Weights and images are put into the cluster's object store once; each actor builds its fitness from them once.
``pool`` hands out parts and replaces lost actors, as it does processes. Ray is the extra ``ray``.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from concurrent.futures import Future
from typing import Any

import numpy as np

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness.parallel import SharedFitness
from nasformer.fitness.parts import Part
from nasformer.fitness.pool import TIMEOUT, Pool
from nasformer.fitness.worker import Answer, Build, Ready, evaluate, pack, set_up
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
        super().__init__(copy, Pool(Actors(ray, pack(build), workers, needs), timeout))


class Actors:
    """Workers as Ray actors.

    Args:
        ray: The connected module.
        packed_build: The fitness builder, from ``worker.pack``.
        workers: Number of actors; None: as many as the cluster has room for.
        needs: ``num_cpus`` and ``num_gpus`` of each actor.
    """

    def __init__(self, ray: Any, packed_build: bytes, workers: int | None, needs: dict[str, int]) -> None:
        self._ray, self._workers, self._needs = ray, workers, needs
        self._packed_build = ray.put(np.frombuffer(packed_build, np.uint8))  # arrays are read in place, bytes copied
        self._class = ray.remote(max_restarts=0, concurrency_groups={"pulse": 1}, **needs)(_Actor)
        self._actors: dict[int, Any] = {}
        self._pulses: dict[int, tuple[Any, float]] = {}

    @property
    def size(self) -> int:
        """Number of actors: with ``workers=None`` the cluster's room now."""
        return self._workers or max(1, _room(self._ray, self._needs))

    def start(self, worker: int) -> Future[Ready | Exception]:
        """Start an actor, which builds its fitness."""
        actor = self._actors[worker] = self._class.remote()
        device = "auto" if self._needs["num_gpus"] else "cpu"
        self._pulses[worker] = self._ask_pulse(worker), 0.0
        future: Future[Ready | Exception]
        future = actor.set_up.remote(self._packed_build, device, self._needs["num_cpus"]).future()
        return future

    def evaluate(self, worker: int, part: Part) -> Future[list[tuple[Architecture, Answer]]]:
        """Send a part to an actor."""
        future: Future[list[tuple[Architecture, Answer]]] = self._actors[worker].evaluate.remote(part).future()
        return future

    def pulse(self, worker: int) -> float:
        """Return the processor seconds of an actor at its last reply."""
        reply, used = self._pulses[worker]
        if self._ray.wait([reply], timeout=0)[0]:
            try:
                used = self._ray.get(reply)
            except self._ray.exceptions.RayError:  # it is gone
                return used
            self._pulses[worker] = self._ask_pulse(worker), used
        return used

    def cause(self, worker: int, error: BaseException) -> str:
        """Return Ray's reason."""
        return f"its actor was lost: {str(error).strip().splitlines()[0]}"

    def stop(self, worker: int) -> None:
        """Kill an actor, if any."""
        actor = self._actors.pop(worker, None)
        if actor is not None:
            self._ray.kill(actor)

    def _ask_pulse(self, worker: int) -> Any:
        return self._actors[worker].pulse.options(concurrency_group="pulse").remote()


class _Actor:
    """A worker on the cluster."""

    def __init__(self) -> None:
        self._thread: int | None = None

    def set_up(self, packed_build: Any, device: str, threads: int) -> Ready | Exception:
        self._thread = threading.get_ident()
        return set_up(memoryview(packed_build), device, threads)

    def evaluate(self, part: Part) -> list[tuple[Architecture, Answer]]:
        return evaluate(part)

    def pulse(self) -> float:
        """Return the processor seconds of the thread that evaluates: Ray's own are never idle."""
        if self._thread is None or not hasattr(time, "pthread_getcpuclockid"):  # macOS
            return time.process_time()
        return time.clock_gettime(time.pthread_getcpuclockid(self._thread))


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
    if ray.is_initialized():
        return ray
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        _check_reachable(address)
        ray.init(address=address, include_dashboard=None if address != "local" else False, log_to_driver=False)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise FitnessError(
            f"no Ray cluster at {address!r}: {reason}; start one with 'ray start --head'", address
        ) from error
    return ray


def _check_reachable(address: str) -> None:
    """Check that the address accepts connections; Ray itself would retry for minutes.

    Raises:
        OSError: It does not.
        ValueError: It is not an address.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise ValueError("an address is auto, local or HOST:PORT")
    socket.create_connection((host, int(port)), timeout=10).close()
