"""Worker: builds a fitness once, then evaluates parts with it; in a process or on a cluster."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cloudpickle

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness.outcome import Outcome
from nasformer.fitness.parts import Part
from nasformer.fitness.racing import Answers
from nasformer.search import Evaluation, Fitness, as_fitness, evaluate_each
from nasformer.search.evaluation import describe_fitness
from nasformer.training.device import use_threads

Answer = Evaluation | Outcome | Exception

_FITNESS: list[Fitness] = []  # of this process


class Build(Protocol):
    """Builds a fitness on a device, such as ``functools.partial(InheritedFitness, net, data.search)``."""

    def __call__(self, *, device: str) -> Fitness:
        """Return the fitness."""
        ...


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker that has built its fitness.

    Args:
        place: Its host and device.
        pid: Its process there.
        description: Description of its fitness.
    """

    place: str
    pid: int
    description: Mapping[str, Any]


def pack(build: Build) -> bytes:
    """Return a pickled fitness builder; functions and classes of a script or notebook travel with it.

    Raises:
        FitnessError: It cannot be pickled.
    """
    try:
        packed: bytes = cloudpickle.dumps(build)
    except Exception as error:  # PicklingError, TypeError or any error of __reduce__
        raise FitnessError(
            f"the fitness cannot be sent to workers ({error}); build it from images and weights that can be pickled",
            build,
        ) from error
    return packed


def set_up(packed_build: bytes | memoryview, device: str, threads: int) -> Ready | Exception:
    """Build the fitness of this process; its error if that fails."""
    try:
        use_threads(threads)
        fitness = as_fitness(pickle.loads(packed_build)(device=device))
        ready = Ready(f"{socket.gethostname()} {device}", os.getpid(), describe_fitness(fitness))
    except Exception as error:
        return portable(error)
    _FITNESS[:] = [fitness]
    return ready


def evaluate(part: Part) -> list[tuple[Architecture, Answer]]:
    """Return the answer for each architecture; its error if it raises."""
    (fitness,) = _FITNESS
    if part.images is None:
        return [(each.architecture, each) for each in evaluate_each(fitness, part.architectures)]
    return list(_outcomes(fitness, part.architectures, *part.images))


def _outcomes(
    fitness: Any, architectures: Sequence[Architecture], start: int, stop: int
) -> Iterator[tuple[Architecture, Answer]]:
    try:
        found: Answers = fitness.outcomes(architectures, start, stop)
    except Exception as error:
        if len(architectures) == 1:
            yield architectures[0], portable(error)
            return
        for architecture in architectures:
            yield from _outcomes(fitness, [architecture], start, stop)
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
