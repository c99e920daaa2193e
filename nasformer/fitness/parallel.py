"""ParallelFitness: evaluates populations in several processes on this machine.

A population is cut into parts in tree order (``parts``), which a pool of workers evaluates (``pool``) with copies of
the fitness (``worker``). A race is decided in this process, which holds all outcomes; workers only run forward
passes. ``docs/how-to/workers.md`` states the equivalence guarantees.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Self

import torch

from nasformer._processes import Process
from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness.outcome import Outcome
from nasformer.fitness.parts import Part, cut
from nasformer.fitness.pool import TIMEOUT, Pool
from nasformer.fitness.racing import Answers
from nasformer.fitness.worker import Build, Ready, pack, set_up
from nasformer.search import Evaluation, Fitness, as_fitness
from nasformer.search.evaluation import WrapperFitness

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
        self._hint = pool.size() > 1
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
            workers = self._pool.size()
            _LOGGER.warning("1 architecture per batch keeps 1 of %d workers busy; increase batch_size", workers)
        self._hint = False
        if getattr(self.fitness, "joint", False):
            yield from self.fitness.evaluate(architectures)
        elif hasattr(self.fitness, "outcomes"):
            yield from self._evaluations(cut(architectures, self._pool.size()))
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
    found = dict(pool.answers(cut(architectures, pool.size(), (start, stop))))
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
        copy = as_fitness(build(device="cpu"))  # first: moves the weights to the CPU for pickling
        packed, threads = pack(build), threads or max(1, torch.get_num_threads() // count)

        def start(number: int) -> tuple[Process, Future[Any]]:
            process = Process()
            return process, process.call(set_up, packed, devices[number % len(devices)], threads)

        super().__init__(copy, Pool(start, lambda: count, timeout))


def all_devices() -> list[str]:
    """Return every CUDA device, else the CPU."""
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]
