"""ParallelFitness: evaluates populations in several processes on this machine.

A population is cut into parts in tree order (``parts``), which a pool of workers evaluates (``pool``) with copies of
the fitness (``worker``). A race is decided in this process, which holds all outcomes; workers only run forward
passes. ``docs/workers.md`` states the equivalence guarantees.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import Any, Self, TypeVar

import psutil
import torch
from loky import ProcessPoolExecutor

from nasformer._processes import kill, start_executor
from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness.outcome import Outcome
from nasformer.fitness.parts import Part, cut
from nasformer.fitness.pool import TIMEOUT, Pool
from nasformer.fitness.racing import Answers
from nasformer.fitness.worker import Answer, Build, Ready, evaluate, pack, set_up
from nasformer.search import Evaluation, Fitness, as_fitness
from nasformer.search.evaluation import WrapperFitness

T = TypeVar("T")
_LOGGER = logging.getLogger(__name__)


class SharedFitness(WrapperFitness):
    """A fitness evaluated by a pool of workers.

    Args:
        copy: The local copy of the fitness, which answers optional members (``check``, ``confirm``, …).
        pool: The workers.

    Attributes:
        work: ``images`` evaluated, summed over architectures.

    Raises:
        FitnessError: The fitness is joint, and cannot delegate its forward passes.
    """

    def __init__(self, copy: Fitness, pool: Pool) -> None:
        super().__init__(copy)
        self._pool = pool
        self._hint = pool.backend.size > 1
        self.work: dict[str, int] = getattr(copy, "work", {"images": 0})
        if getattr(copy, "joint", False):
            if not (hasattr(copy, "outcomes") and hasattr(copy, "compute")):
                raise FitnessError(f"workers cannot share a {type(copy).__name__}: it is joint", copy)
            copy.compute = partial(_outcomes, pool)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def workers(self) -> list[Ready]:
        """The ready workers, with host and process."""
        return list(self._pool.ready.values())

    def evaluate(self, architectures: Sequence[Architecture]) -> Generator[Evaluation, None, None]:
        """Yield the value of each distinct architecture as it becomes known.

        A fitness that shares prefixes evaluates parts of several architectures, any other one at a time.
        """
        if self._hint and len(architectures) == 1:
            _LOGGER.warning(
                "1 architecture per batch keeps 1 of %d workers busy; increase batch_size", self._pool.backend.size
            )
        self._hint = False
        if getattr(self.fitness, "joint", False):
            yield from self.fitness.evaluate(architectures)
        elif hasattr(self.fitness, "outcomes"):
            yield from self._evaluations(cut(architectures, self._pool.backend.size))
        else:
            yield from self.stream(dict.fromkeys(architectures))

    def stream(self, architectures: Iterable[Architecture]) -> Generator[Evaluation, None, None]:
        """Yield the value of each architecture; takes the next one only when a worker is free.

        Values known by then are yielded before, so they can decide what comes next. Each architecture is evaluated
        alone: not for a race.
        """
        return self._evaluations(Part((architecture,)) for architecture in architectures)

    def _evaluations(self, parts: Iterable[Part]) -> Generator[Evaluation, None, None]:
        for architecture, answer in self._pool.answers(parts):
            told = answer if isinstance(answer, Evaluation) else Evaluation(architecture, None, str(answer))
            self.work["images"] += told.images or 0
            yield told

    def describe(self) -> dict[str, Any]:
        """Return the description of the workers' fitness.

        Raises:
            FitnessError: No worker can be started, or its weights differ from those of this process.
        """
        found, own = dict(self._pool.description()), super().describe()
        if found.get("weights") != own.get("weights"):
            raise FitnessError(
                f"the workers hold weights {found.get('weights')}, this process {own.get('weights')}; "
                "do not change the checkpoint while a search starts",
                self,
            )
        return found

    def close(self) -> None:
        """Stop the workers; they restart when needed."""
        self._pool.close()


def _outcomes(pool: Pool, architectures: Sequence[Architecture], start: int, stop: int) -> Answers:
    found = dict(pool.answers(cut(architectures, pool.backend.size, (start, stop))))
    return {each: answer for each, answer in found.items() if isinstance(answer, (Outcome, Exception))}


class ParallelFitness(SharedFitness):
    """A fitness in several processes.

    Args:
        build: Called as ``build(device=…)`` in each process; pickled with its data and sent to each once:
            ``functools.partial(InheritedFitness, net, data.search)``. Functions and classes of a script or notebook
            travel with it.
        workers: Number of processes; None: one per device.
        devices: Devices, assigned round-robin; None: every CUDA device, else "cpu".
        threads: Torch threads per process; None: the current number divided among the processes. Another number can
            change the last bits of a value.
        timeout: Seconds after which a process that has neither answered nor computed is replaced, as one that died. An
            endless loop computes, so it is not noticed; a fitness that waits for something remote needs None: no limit.

    Raises:
        FitnessError: There is no worker, or the fitness cannot be pickled.

    The processes start on first use, and end with this object or this process.
    """

    def __init__(
        self,
        build: Build,
        *,
        workers: int | None = None,
        devices: Sequence[str] | None = None,
        threads: int | None = None,
        timeout: float | None = TIMEOUT,
    ) -> None:
        devices = list(devices or all_devices())
        count = len(devices) if workers is None else workers
        if count < 1:
            raise FitnessError(f"workers must be at least 1, got {count}", count)
        places = [devices[number % len(devices)] for number in range(count)]
        copy = as_fitness(build(device="cpu"))  # first: moves the weights to the CPU for pickling
        backend = Processes(pack(build), places, threads or max(1, torch.get_num_threads() // count))
        super().__init__(copy, Pool(backend, timeout))


class Processes:
    """Workers in processes, each with an executor of its own: if one dies, the others go on.

    Args:
        packed_build: The fitness builder, from ``worker.pack``.
        devices: Device of each worker.
        threads: Torch threads of each worker.
    """

    def __init__(self, packed_build: bytes, devices: Sequence[str], threads: int) -> None:
        self.size = len(devices)
        self._packed_build, self._devices, self._threads = packed_build, devices, threads
        self._running: dict[int, tuple[ProcessPoolExecutor, Future[int]]] = {}

    def start(self, worker: int) -> Future[Ready | Exception]:
        """Start a process."""
        self._running[worker] = start_executor(1)
        return self._call(worker, set_up, self._packed_build, self._devices[worker], self._threads)

    def evaluate(self, worker: int, part: Part) -> Future[list[tuple[Architecture, Answer]]]:
        """Send a part to a process."""
        return self._call(worker, evaluate, part)

    def pulse(self, worker: int) -> float:
        """Return the processor seconds of a process and its children."""
        pid = self._pid(worker)
        try:
            process = psutil.Process(pid) if pid else None
            every = [process, *process.children(recursive=True)] if process else []
            return sum(sum(each.cpu_times()[:4]) for each in every)  # user and system, of ended children too
        except psutil.Error:  # it has ended
            return 0.0

    def cause(self, worker: int, error: BaseException) -> str:
        """Return the signal or exit code that ended a process."""
        found = re.search(r"exit codes of the workers are \{(\w+)\((-?\d+)\)", str(error))
        name, code = found.groups() if found else ("", "")
        how = f"was ended by {name}" if code.startswith("-") else f"ended{code and f' with code {code}'}"
        hint = " (by hand, or because memory ran out)" if name == "SIGKILL" else ""
        return f"process {self._pid(worker) or ''} {how}{hint}"

    def stop(self, worker: int) -> None:
        """Kill a process, if any."""
        executor, _ = self._running.pop(worker, (None, None))
        if executor is not None:
            kill(executor)

    def _call(self, worker: int, function: Callable[..., T], *arguments: object) -> Future[T]:
        future: Future[T] = Future()
        try:
            future = self._running[worker][0].submit(function, *arguments)
        except BrokenProcessPool as error:  # it died idle
            future.set_exception(error)
        return future

    def _pid(self, worker: int) -> int | None:
        pid = self._running[worker][1]
        return pid.result() if pid.done() and pid.exception() is None else None


def all_devices() -> list[str]:
    """Return every CUDA device, else the CPU."""
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]
