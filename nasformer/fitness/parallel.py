"""ParallelFitness: evaluates populations in several processes on this machine.

The population is partitioned in tree order (``parts``), dispatched (``dispatch``), evaluated by workers with copies
of the fitness (``worker``), and results are yielded as they arrive. A race is decided in this process, which holds
all outcomes; workers only run forward passes. ``docs/workers.md`` states the equivalence guarantees.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import Any, Self

import torch

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness.dispatch import Answer, Dispatcher, Ready, WorkerBackend
from nasformer.fitness.outcome import Outcome
from nasformer.fitness.parts import cut
from nasformer.fitness.processes import Processes
from nasformer.fitness.racing import Answers
from nasformer.fitness.worker import Build, pack
from nasformer.search import Evaluation, Fitness, as_fitness
from nasformer.search.evaluation import WrapperFitness

_LOGGER = logging.getLogger(__name__)


class SharedFitness(WrapperFitness):
    """A fitness evaluated by a backend of workers.

    Args:
        copy: The local copy of the fitness, which answers optional members (``check``, ``confirm``, …).
        backend: The workers.

    Attributes:
        work: ``images`` evaluated, summed over architectures.

    Raises:
        FitnessError: The fitness is joint, and cannot delegate its forward passes.
    """

    def __init__(self, copy: Fitness, backend: WorkerBackend) -> None:
        super().__init__(copy)
        self._dispatcher = Dispatcher(backend)
        self._hint = backend.size > 1
        self.work: dict[str, int] = getattr(copy, "work", {"images": 0})
        if getattr(copy, "joint", False):
            if not (hasattr(copy, "outcomes") and hasattr(copy, "compute")):
                raise FitnessError(f"workers cannot share a {type(copy).__name__}: it is joint", copy)
            copy.compute = partial(_outcomes, self._dispatcher)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def workers(self) -> list[Ready]:
        """The ready workers, with host and process."""
        return list(self._dispatcher.ready.values())

    def evaluate(self, architectures: Sequence[Architecture]) -> Generator[Evaluation, None, None]:
        """Yield the value of each distinct architecture as it becomes known."""
        if self._hint and len(architectures) == 1:
            _LOGGER.warning(
                "1 architecture per batch keeps 1 of %d workers busy; increase batch_size",
                self._dispatcher.backend.size,
            )
        self._hint = False
        if getattr(self.fitness, "joint", False):
            yield from self.fitness.evaluate(architectures)
            return
        for architecture, answer in _answers(self._dispatcher, architectures):
            told = answer if isinstance(answer, Evaluation) else Evaluation(architecture, None, str(answer))
            self.work["images"] += told.images or 0
            yield told

    def describe(self) -> dict[str, Any]:
        """Return the description of the workers' fitness.

        Raises:
            FitnessError: No worker can be started, or its weights differ from those of this process.
        """
        found, own = dict(self._dispatcher.description()), super().describe()
        if found.get("weights") != own.get("weights"):
            raise FitnessError(
                f"the workers hold weights {found.get('weights')}, this process {own.get('weights')}; "
                "do not change the checkpoint while a search starts",
                self,
            )
        return found

    def close(self) -> None:
        """Stop the workers; they restart when needed."""
        self._dispatcher.close()


def _answers(
    dispatcher: Dispatcher, architectures: Sequence[Architecture], images: tuple[int, int] | None = None
) -> Iterator[tuple[Architecture, Answer]]:
    return dispatcher.answers(cut(architectures, dispatcher.backend.size, images))


def _outcomes(dispatcher: Dispatcher, architectures: Sequence[Architecture], start: int, stop: int) -> Answers:
    found = dict(_answers(dispatcher, architectures, (start, stop)))
    return {each: answer for each, answer in found.items() if isinstance(answer, (Outcome, Exception))}


class ParallelFitness(SharedFitness):
    """A fitness in several processes.

    Args:
        build: Called as ``build(device=…)`` in each process; pickled with its data and sent to
            each once: ``functools.partial(InheritedFitness, net, data.search)``.
        workers: Number of processes; None: one per device.
        devices: Devices, assigned round-robin; None: every CUDA device, else "cpu".
        threads: Torch threads per process; None: the current number divided among the processes. Another number can
            change the last bits of a value.

    Raises:
        FitnessError: There is no worker, or the fitness cannot be pickled.

    The processes start on first use, and end with this object or this process. As with all spawned processes, a
    script needs ``if __name__ == "__main__":``.
    """

    def __init__(
        self,
        build: Build,
        *,
        workers: int | None = None,
        devices: Sequence[str] | None = None,
        threads: int | None = None,
    ) -> None:
        devices = list(devices or all_devices())
        count = len(devices) if workers is None else workers
        if count < 1:
            raise FitnessError(f"workers must be at least 1, got {count}", count)
        places = [devices[number % len(devices)] for number in range(count)]
        copy = as_fitness(build(device="cpu"))  # first: moves the weights to the CPU for pickling
        super().__init__(copy, Processes(pack(build), places, threads or max(1, torch.get_num_threads() // count)))


def all_devices() -> list[str]:
    """Return every CUDA device, else the CPU."""
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]
