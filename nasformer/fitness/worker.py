"""Worker: builds a fitness once, then evaluates parts with it; in a process or on a cluster."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness.dispatch import Answer, Ready, Refused
from nasformer.fitness.parts import Part
from nasformer.fitness.racing import Answers
from nasformer.search import Fitness, as_fitness, evaluate_each
from nasformer.search.evaluation import describe_fitness
from nasformer.training.device import use_threads


class Build(Protocol):
    """Builds a fitness on a device, such as ``functools.partial(InheritedFitness, net, data.search)``."""

    def __call__(self, *, device: str) -> Fitness:
        """Return the fitness."""
        ...


def pack(build: Build) -> bytes:
    """Return a pickled fitness builder, to be sent to every worker.

    Raises:
        FitnessError: It cannot be pickled.
    """
    try:
        return pickle.dumps(build, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # PicklingError, TypeError, AttributeError or any error of __reduce__
        raise FitnessError(
            f"the fitness cannot be sent to workers ({error}); build it with a function or class of a module, "
            "from images and weights that can be pickled",
            build,
        ) from error


class Worker:
    """Evaluates parts.

    Args:
        number: Index among the workers of its backend.
        packed_build: Result of ``pack``, as any buffer of bytes.
        device: Device.
        threads: Torch threads.
    """

    def __init__(self, number: int, packed_build: bytes | memoryview, device: str, threads: int) -> None:
        use_threads(threads)
        self.number, self.device = number, device
        self.fitness = as_fitness(pickle.loads(packed_build)(device=device))

    @classmethod
    def make(
        cls, number: int, packed_build: bytes | memoryview, device: str, threads: int
    ) -> tuple[Worker | None, Ready | Refused]:
        """Return a worker and ``Ready``, or None and ``Refused``."""
        try:
            worker = cls(number, packed_build, device, threads)
            return worker, Ready(
                number, f"{socket.gethostname()} {device}", os.getpid(), describe_fitness(worker.fitness)
            )
        except Exception as error:
            return None, Refused(number, portable(error))

    def answers(self, part: Part) -> Iterator[tuple[Architecture, Answer]]:
        """Yield the answer for each architecture; its error if it raises."""
        if part.images is None:
            yield from ((each.architecture, each) for each in evaluate_each(self.fitness, part.architectures))
        else:
            yield from self._outcomes(part.architectures, *part.images)

    def _outcomes(
        self, architectures: Sequence[Architecture], start: int, stop: int
    ) -> Iterator[tuple[Architecture, Answer]]:
        fitness: Any = self.fitness  # one of images, whose race the leader runs
        try:
            found: Answers = fitness.outcomes(architectures, start, stop)
        except Exception as error:
            if len(architectures) == 1:
                yield architectures[0], portable(error)
                return
            for architecture in architectures:
                yield from self._outcomes([architecture], start, stop)
            return
        for architecture, outcome in found.items():
            yield architecture, portable(outcome) if isinstance(outcome, Exception) else outcome


def portable(error: Exception) -> Exception:
    """Return a picklable copy of an error, without its references; else its message as a FitnessError."""
    try:
        bare = type(error)(*error.args)
        same: Exception = pickle.loads(pickle.dumps(bare))
    except Exception:
        return FitnessError(f"{type(error).__name__}: {' '.join(str(error).split())}")
    return same
