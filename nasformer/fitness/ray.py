"""RayFitness: evaluates populations with the actors of a Ray cluster.

Weights and images are put into the cluster's object store once; each actor builds its fitness from them once.
``dispatch`` assigns parts and retries those of lost actors, as for processes. Ray is the extra ``ray``.
"""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np

from nasformer.errors import FitnessError
from nasformer.fitness.dispatch import Answered, Event, Finished, Lost
from nasformer.fitness.parallel import SharedFitness
from nasformer.fitness.parts import Part
from nasformer.fitness.worker import Build, Worker, pack
from nasformer.search import as_fitness


class RayFitness(SharedFitness):
    """A fitness on the actors of a Ray cluster.

    Args:
        build: Called as ``build(device=…)`` in each actor; pickled with its data.
        address: The cluster of this machine: "auto" or "HOST:PORT"; or "local" for one on this
            machine that ends with this process. An existing connection of this process is used.
        workers: Number of actors; None: one per GPU of the cluster, else per CPU.
        device: Device of each actor: "auto" is a GPU each, if the cluster has any.
        threads: Torch threads, and reserved CPUs, of each actor.

    Raises:
        FitnessError: Ray is not installed, the cluster is unavailable, or has no room for an actor.
    """

    def __init__(
        self, build: Build, *, address: str = "auto", workers: int | None = None, device: str = "auto", threads: int = 1
    ) -> None:
        if workers is not None and workers < 1:
            raise FitnessError(f"workers must be at least 1, got {workers}", workers)
        ray = connect(address)
        resources = ray.cluster_resources()
        gpus = int(resources.get("GPU", 0)) if device == "auto" or device.startswith("cuda") else 0
        room = gpus or int(resources.get("CPU", 0)) // threads
        if (workers or 1) > room:
            unit = "GPUs" if gpus else f"times {threads} CPUs"
            raise FitnessError(
                f"{workers or 1} workers do not fit the Ray cluster {address!r}: it has {room} {unit}", room
            )
        copy = as_fitness(build(device="cpu"))
        needs = {"num_cpus": threads, "num_gpus": 1 if gpus else 0}
        super().__init__(copy, Actors(ray, pack(build), workers or room, "auto" if gpus else "cpu", needs))


class Actors:
    """Workers as Ray actors.

    Args:
        ray: The connected module.
        packed_build: The fitness builder, from ``worker.pack``.
        size: Number of actors.
        device: Device of each actor, within its resources.
        needs: ``num_cpus`` and ``num_gpus`` of each actor.
    """

    def __init__(self, ray: Any, packed_build: bytes, size: int, device: str, needs: dict[str, int]) -> None:
        self.size, self._ray, self._device, self._needs = size, ray, device, needs
        self._packed_build = ray.put(np.frombuffer(packed_build, np.uint8))  # arrays are read in place, bytes copied
        self._class = ray.remote(max_restarts=0, **needs)(_Actor)
        self._actors: dict[int, Any] = {}
        self._streams: dict[Any, int] = {}

    def start(self, worker: int) -> None:
        """Start an actor, which builds its fitness."""
        self._actors[worker] = self._class.remote()
        self._stream(worker, "make", worker, self._packed_build, self._device, self._needs["num_cpus"])

    def give(self, worker: int, part: Part) -> None:
        """Send a part to an actor."""
        self._stream(worker, "answers", pickle.dumps(part))

    def wait(self) -> list[Event]:
        """Return the pending events of one or more actors."""
        ready, _ = self._ray.wait(list(self._streams), num_returns=1)
        return [event for stream in ready for event in self._receive(stream)]

    def stop(self, worker: int) -> None:
        """Kill a worker's actor, if any."""
        self._streams = {stream: number for stream, number in self._streams.items() if number != worker}
        actor = self._actors.pop(worker, None)
        if actor is not None:
            self._ray.kill(actor)

    def _stream(self, worker: int, method: str, *arguments: object) -> None:
        call = getattr(self._actors[worker], method).options(num_returns="streaming")
        self._streams[call.remote(*arguments)] = worker

    def _receive(self, stream: Any) -> Iterator[Event]:
        try:
            event: Event = pickle.loads(self._ray.get(next(stream)))
        except StopIteration:
            del self._streams[stream]
            return
        except self._ray.exceptions.RayError as error:
            worker = self._streams.pop(stream)
            yield Lost(worker, f"its actor was lost: {str(error).strip().splitlines()[0]}")
            return
        yield event


class _Actor:
    """A worker on the cluster; it pickles its results itself, so Ray needs no knowledge of them."""

    def __init__(self) -> None:
        self.worker: Worker | None = None

    def make(self, number: int, packed_build: Any, device: str, threads: int) -> Iterator[bytes]:
        self.worker, event = Worker.make(number, memoryview(packed_build), device, threads)
        yield pickle.dumps(event)

    def answers(self, part: bytes) -> Iterator[bytes]:
        worker = self.worker
        assert worker is not None, "the dispatcher waits until it is ready"
        for architecture, answer in worker.answers(pickle.loads(part)):
            yield pickle.dumps(Answered(worker.number, architecture, answer))
        yield pickle.dumps(Finished(worker.number))


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
