"""Worker: builds a fitness once, then evaluates parts with it; in a process or on a cluster."""

from __future__ import annotations

import os
import pickle
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness.outcome import Outcome
from nasformer.fitness.parts import Part
from nasformer.search import Evaluation, Fitness, as_fitness, evaluate_each
from nasformer.search.evaluation import describe_fitness
from nasformer.training.device import use_threads

Answer = Evaluation | Outcome | Exception
Build = Callable[..., Fitness]
"""Called as ``build(device=…)``, such as ``functools.partial(InheritedFitness, net, data.search)``."""

_FITNESS: list[Fitness] = []  # of this process


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker that has built its fitness: its host and device, its process there, and its fitness's description."""

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
        message = f"the fitness cannot be sent to workers ({error}); build it from what can be pickled"
        raise FitnessError(message, build) from error
    return packed


def set_up(packed_build: bytes, device: str, threads: int) -> Ready | Exception:
    """Build the fitness of this process; its error if that fails."""
    try:
        use_threads(threads)
        fitness = as_fitness(pickle.loads(packed_build)(device=device))
        _FITNESS[:] = [fitness]
        return Ready(f"{socket.gethostname()} {device}", os.getpid(), describe_fitness(fitness))
    except Exception as error:
        return portable(error)


def evaluate(part: Part) -> Mapping[Architecture, Answer]:
    """Return the answer for each architecture; its error if it raises."""
    (fitness,) = _FITNESS
    if part.images is None:
        return {each.architecture: each for each in evaluate_each(fitness, part.architectures)}
    found = _outcomes(fitness, part.architectures, *part.images)
    return {each: portable(answer) if isinstance(answer, Exception) else answer for each, answer in found.items()}


def _outcomes(fitness: Any, architectures: Sequence[Architecture], *images: int) -> Mapping[Architecture, Answer]:
    try:
        return dict(fitness.outcomes(architectures, *images))
    except Exception as error:
        if len(architectures) == 1:
            return {architectures[0]: error}
        alone = [_outcomes(fitness, [each], *images) for each in architectures]
        return {each: answer for found in alone for each, answer in found.items()}


def portable(error: Exception) -> Exception:
    """Return a picklable copy of an error, without its references; else its message as a FitnessError."""
    try:
        same: Exception = pickle.loads(pickle.dumps(type(error)(*error.args)))
    except Exception:
        return FitnessError(f"{type(error).__name__}: {' '.join(str(error).split())}")
    return same
