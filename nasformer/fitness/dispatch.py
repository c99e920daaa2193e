"""Dispatcher: assigns parts to the workers of a backend, and reassigns those of a lost worker.

It knows nothing of how workers run: ``processes`` and ``ray`` are two backends. An architecture is answered
once, whatever dies: answers come one by one, and of a lost worker's part only what is missing is asked again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness.outcome import Outcome
from nasformer.fitness.parts import MAX_WORKER_FAILURES, Part
from nasformer.search import Evaluation

Answer = Evaluation | Outcome | Exception
"""What a worker says of an architecture."""

_MAX_STARTUP_FAILURES = 3


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has built its fitness.

    Args:
        worker: Its number, from 0.
        place: Where it runs.
        pid: Its process there.
        description: What its fitness says of itself.
    """

    worker: int
    place: str
    pid: int
    description: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Refused:
    """A worker could not build its fitness."""

    worker: int
    error: Exception


@dataclass(frozen=True, slots=True)
class Answered:
    """A worker has judged an architecture of its part."""

    worker: int
    architecture: Architecture
    answer: Answer


@dataclass(frozen=True, slots=True)
class Finished:
    """A worker has judged all of its part."""

    worker: int


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is gone."""

    worker: int
    reason: str


Event = Ready | Refused | Answered | Finished | Lost


class WorkerBackend(Protocol):
    """Workers, numbered from 0, each of which holds a fitness and judges one part at a time."""

    size: int

    def start(self, worker: int) -> None:
        """Start a worker, or another in place of one that is gone; ``Ready``, ``Refused`` or ``Lost`` follows."""
        ...

    def give(self, worker: int, part: Part) -> None:
        """Ask a worker that is ready; ``Answered`` follows for each architecture, then ``Finished``, or ``Lost``."""
        ...

    def wait(self) -> Sequence[Event]:
        """Return what happened, once something has."""
        ...

    def stop(self, worker: int) -> None:
        """End a worker, whatever it is at; nothing follows."""
        ...


class Dispatcher:
    """Hands parts to a backend.

    Args:
        backend: The workers; each is started when there is first something for it to do.

    Attributes:
        ready: The workers that are ready, by number.
    """

    def __init__(self, backend: WorkerBackend) -> None:
        self.backend = backend
        self.ready: dict[int, Ready] = {}
        self._started: set[int] = set()
        self._startup_failures = 0
        self._described: Mapping[str, Any] | None = None
        self._broken: FitnessError | None = None
        self._waiting: deque[Part] = deque()
        self._held: dict[int, Part] = {}

    def description(self) -> Mapping[str, Any]:
        """Return what the workers' fitness says of itself; starts one where none was ready yet.

        Raises:
            FitnessError: No worker can be started.
        """
        while self._described is None:
            list(self._next(at_least=1))
        return self._described

    def answers(self, parts: Iterable[Part]) -> Generator[tuple[Architecture, Answer], None, None]:
        """Yield each architecture of some parts once, as soon as it is judged; what kills its worker has an error.

        Raises:
            FitnessError: No worker can be started, or two hold different weights, data or precision.
        """
        self._waiting, self._held = deque(parts), {}
        done = False
        try:
            while self._waiting or self._held:
                self._hand_out()
                yield from self._next(at_least=min(self.backend.size, len(self._waiting) + len(self._held)))
            done = True
        finally:
            if not done:  # stopped in the middle: nobody wants what they are at
                self.close()

    def close(self) -> None:
        """End all workers; those that are needed again start again."""
        for worker in sorted(self._started):
            self._dismiss(worker)

    def _hand_out(self) -> None:
        for worker in sorted(self.ready.keys() - self._held.keys())[: len(self._waiting)]:
            self._held[worker] = self._waiting.popleft()
            self.backend.give(worker, self._held[worker])

    def _next(self, at_least: int) -> Iterator[tuple[Architecture, Answer]]:
        """Have so many workers, wait, and yield the answers that came."""
        if self._broken is not None:
            raise self._broken
        for worker in [each for each in range(self.backend.size) if each not in self._started]:
            if len(self._started) < at_least:
                self._started.add(worker)
                self.backend.start(worker)
        for event in self.backend.wait():
            yield from self._take(event)

    def _take(self, event: Event) -> Iterator[tuple[Architecture, Answer]]:
        if isinstance(event, Ready):
            self._startup_failures = 0
            self._compare(event)
            self.ready[event.worker] = event
        elif isinstance(event, Refused):
            raise self._break(f"a worker cannot be set up: {event.error}", event.error)
        elif isinstance(event, Answered):
            part = self._held[event.worker]
            self._held[event.worker] = part.without(event.architecture)
            if event.architecture in part.architectures:
                yield event.architecture, event.answer
        elif isinstance(event, Finished):
            missing = self._held.pop(event.worker).architectures
            yield from ((each, FitnessError("the fitness returned nothing for it", each)) for each in missing)
        else:
            yield from self._replace(event)

    def _replace(self, lost: Lost) -> Iterator[tuple[Architecture, Answer]]:
        failed_startup = lost.worker not in self.ready
        part = self._held.pop(lost.worker, Part(()))
        self._dismiss(lost.worker)
        self._startup_failures += failed_startup
        if self._startup_failures >= _MAX_STARTUP_FAILURES:
            raise self._break(
                f"{_MAX_STARTUP_FAILURES} workers in a row ended before they were ready; the last: {lost.reason}"
            )
        again = part.after_failure()
        self._waiting.extendleft(reversed(again))
        for architecture in () if again else part.architectures:
            message = f"its worker died {MAX_WORKER_FAILURES} times with nothing else to do: {lost.reason}"
            yield architecture, FitnessError(message, architecture)

    def _compare(self, event: Ready) -> None:
        """Check that a worker's fitness is that of the others."""
        known = self._described = event.description if self._described is None else self._described
        for key in sorted(known.keys() | event.description.keys()):
            first, its = known.get(key), event.description.get(key)
            if first != its:
                where = f"worker {event.worker} on {event.place}"
                raise self._break(f"all workers must have the same {key}; {where} has {its!r}, another {first!r}")

    def _break(self, message: str, value: object = None) -> FitnessError:
        self._broken = FitnessError(message, value)
        self.close()
        return self._broken

    def _dismiss(self, worker: int) -> None:
        self._started.discard(worker)
        self.ready.pop(worker, None)
        self.backend.stop(worker)
