"""RayFitness: a fitness whose populations are judged by actors of a Ray cluster.

The weights and images go into the cluster's object store once; each actor builds its fitness of them once. Who has
which part, and what is asked again when an actor is lost, is ``dispatch``'s, as for processes. Ray is the extra
``ray``.
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
        build: Called as ``build(device=…)`` in each actor; it is pickled, with all that it holds.
        address: Of the cluster that this machine is part of: "auto" or "HOST:PORT"; or "local" for one on this
            machine that ends with this process. Where this process is connected already, that connection is used.
        workers: How many actors; None: one for each GPU of the cluster, else for each CPU.
        device: Where each computes: "auto" takes a GPU each where the cluster has any.
        threads: Of torch, and CPUs that are reserved, for each actor.

    Raises:
        FitnessError: Ray is not installed, the cluster is not there, or it has no room for an actor.
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
        ray: The module, connected.
        packed_build: How to build their fitness: ``worker.pack``.
        size: How many.
        device: Where each computes, within what it is given.
        needs: ``num_cpus`` and ``num_gpus`` of each.
    """

    def __init__(self, ray: Any, packed_build: bytes, size: int, device: str, needs: dict[str, int]) -> None:
        self.size, self._ray, self._device, self._needs = size, ray, device, needs
        self._packed_build = ray.put(np.frombuffer(packed_build, np.uint8))  # arrays are read in place, bytes copied
        self._class = ray.remote(max_restarts=0, **needs)(_Actor)
        self._actors: dict[int, Any] = {}
        self._streams: dict[Any, int] = {}

    def start(self, worker: int) -> None:
        """Start an actor, and have it build its fitness."""
        self._actors[worker] = self._class.remote()
        self._stream(worker, "make", worker, self._packed_build, self._device, self._needs["num_cpus"])

    def give(self, worker: int, part: Part) -> None:
        """Have an actor judge a part."""
        self._stream(worker, "answers", pickle.dumps(part))

    def wait(self) -> list[Event]:
        """Return an event of each actor that has one."""
        ready, _ = self._ray.wait(list(self._streams), num_returns=1)
        return [event for stream in ready for event in self._receive(stream)]

    def stop(self, worker: int) -> None:
        """Kill an actor, where there is one."""
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
    """A worker on the cluster; what it yields is pickled here, so that Ray need not know it."""

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
        FitnessError: Ray is not installed, or the cluster is not there.
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
    """Check that somebody listens, where Ray itself would try for minutes.

    Raises:
        OSError: Nobody does.
        ValueError: This is no address.
    """
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise ValueError("an address is auto, local or HOST:PORT")
    socket.create_connection((host, int(port)), timeout=10).close()
