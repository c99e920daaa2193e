"""ParallelFitness: a fitness whose populations are judged by several processes on this machine.

The population is cut in tree order (``parts``), handed out (``dispatch``), judged where a copy of the fitness
is (``worker``), and the answers are yielded as they come. A race stays in this process, which has the outcomes of
all; only the showing of images goes to the workers. ``docs/workers.md`` says what that keeps equal.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence
from functools import partial
from typing import Any, Self

import torch

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness.dispatch import Answer, Crew, Dispatcher, Ready
from nasformer.fitness.outcome import Outcome
from nasformer.fitness.parts import cut
from nasformer.fitness.processes import Processes
from nasformer.fitness.racing import Found
from nasformer.fitness.worker import Build, pack
from nasformer.search import Evaluation, Fitness, as_fitness
from nasformer.search.evaluation import WrapperFitness

_LOGGER = logging.getLogger(__name__)


class SharedFitness(WrapperFitness):
    """A fitness that a crew of workers judges by.

    Args:
        copy: One in this process, which answers what else a fitness may have.
        crew: The workers.

    Attributes:
        work: ``images`` shown to architectures.

    Raises:
        FitnessError: It is evaluated jointly, and cannot have others show its images.
    """

    def __init__(self, copy: Fitness, crew: Crew) -> None:
        super().__init__(copy)
        self._dispatcher = Dispatcher(crew)
        self._hint = crew.size > 1
        self.work: dict[str, int] = getattr(copy, "work", {"images": 0})
        if getattr(copy, "joint", False):
            if not (hasattr(copy, "outcomes") and hasattr(copy, "compute")):
                raise FitnessError(f"workers cannot share a {type(copy).__name__}: it judges jointly", copy)
            copy.compute = partial(_outcomes, self._dispatcher)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def workers(self) -> list[Ready]:
        """The workers that are ready: where each runs, and as which process."""
        return list(self._dispatcher.ready.values())

    def evaluate(self, architectures: Sequence[Architecture]) -> Generator[Evaluation, None, None]:
        """Yield the value of each distinct architecture as it becomes known."""
        if self._hint and len(architectures) == 1:
            _LOGGER.warning(
                "1 architecture at a time keeps 1 of %d workers busy; ask for more at a time (batch_size)",
                self._dispatcher.crew.size,
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
        """Return what the workers' fitness says of itself.

        Raises:
            FitnessError: No worker can be started, or it holds other weights than this process.
        """
        found, own = dict(self._dispatcher.description()), super().describe()
        if found.get("weights") != own.get("weights"):
            raise FitnessError(
                f"the workers hold weights {found.get('weights')}, this process {own.get('weights')}; "
                "leave the checkpoint alone while a search starts",
                self,
            )
        return found

    def close(self) -> None:
        """End the workers; they start again where they are needed again."""
        self._dispatcher.close()


def _answers(
    dispatcher: Dispatcher, architectures: Sequence[Architecture], images: tuple[int, int] | None = None
) -> Iterator[tuple[Architecture, Answer]]:
    return dispatcher.answers(cut(architectures, dispatcher.crew.size, images))


def _outcomes(dispatcher: Dispatcher, architectures: Sequence[Architecture], start: int, stop: int) -> Found:
    found = dict(_answers(dispatcher, architectures, (start, stop)))
    return {each: answer for each, answer in found.items() if isinstance(answer, (Outcome, Exception))}


class ParallelFitness(SharedFitness):
    """A fitness in several processes.

    Args:
        build: Called as ``build(device=…)`` in each process; it is pickled, with all that it holds, and sent to
            each once: ``functools.partial(InheritedFitness, net, data.search)``.
        workers: How many processes; None: one for each device.
        devices: Where they compute, in turn; None: every CUDA device, else "cpu".
        threads: Of each process; None: those that torch uses here, divided among the processes. Another number can
            change the last bits of a value.

    Raises:
        FitnessError: No worker, or a fitness that cannot be sent.

    The processes start when they are first needed, and end with this object or this process. A script that makes
    one needs ``if __name__ == "__main__":``, as everything does that spawns processes.
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
        copy = as_fitness(build(device="cpu"))  # first: this moves the weights to where they are pickled from
        super().__init__(copy, Processes(pack(build), places, threads or max(1, torch.get_num_threads() // count)))


def all_devices() -> list[str]:
    """Return every CUDA device, else the CPU."""
    return [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["cpu"]
