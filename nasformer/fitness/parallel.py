"""ParallelFitness: a fitness whose populations are judged by several processes on this machine.

The population is cut in tree order (``parts``), handed out (``dispatch``), judged where a copy of the fitness
is (``worker``), and the answers are yielded as they come. A race stays in this process, which has the outcomes of
all; only the showing of images goes to the workers. ``docs/workers.md`` says what that keeps equal.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
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
from nasformer.fitness.worker import Build, describe, pack
from nasformer.search import Evaluation, Fitness, as_fitness

_LOGGER = logging.getLogger(__name__)
_OWN = ("architectures", "check", "confirm", "joint", "race_for")


class SharedFitness:
    """A fitness evaluated by a backend of workers.

    What else a fitness may have (``check``, ``confirm``, ``race_for``, …) is answered by a copy in this process.

    Args:
        copy: That copy.
        backend: The workers.

    Attributes:
        work: ``images`` shown to architectures.

    Raises:
        FitnessError: It is evaluated jointly, and cannot have others show its images.
    """

    def __init__(self, copy: Fitness, backend: WorkerBackend) -> None:
        self._copy: Any = copy
        self._dispatcher = Dispatcher(backend)
        self._hint = backend.size > 1
        self.work: dict[str, int] = getattr(copy, "work", {"images": 0})
        if getattr(self._copy, "joint", False):
            if not (hasattr(self._copy, "outcomes") and hasattr(self._copy, "compute")):
                raise FitnessError(f"workers cannot share a {type(self._copy).__name__}: it judges jointly", self._copy)
            self._copy.compute = partial(_outcomes, self._dispatcher)

    def __getattr__(self, name: str) -> Any:
        if name in _OWN and "_copy" in vars(self):
            return getattr(self._copy, name)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

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
                self._dispatcher.backend.size,
            )
        self._hint = False
        if getattr(self._copy, "joint", False):
            yield from self._copy.evaluate(architectures)
            return
        for architecture, answer in _answers(self._dispatcher, architectures):
            told = answer if isinstance(answer, Evaluation) else Evaluation(architecture, None, str(answer))
            self.work["images"] += told.images or 0
            yield told

    def describe(self) -> Mapping[str, Any]:
        """Return what the workers' fitness says of itself.

        Raises:
            FitnessError: No worker can be started, or it holds other weights than this process.
        """
        found, own = self._dispatcher.description(), describe(self._copy)
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
    return dispatcher.answers(cut(architectures, dispatcher.backend.size, images))


def _outcomes(dispatcher: Dispatcher, architectures: Sequence[Architecture], start: int, stop: int) -> Answers:
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
