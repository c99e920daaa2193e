"""Pool: evaluates parts with workers, and replaces workers that die or hang.

Workers are processes (``parallel``) or actors (``ray``). Each architecture is answered once; of a lost worker only the
part in progress is repeated.
"""

from __future__ import annotations

import logging
import re
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness.parts import MAX_WORKER_FAILURES, Part
from nasformer.fitness.worker import Answer, Ready, evaluate

TIMEOUT = 300.0
"""Default seconds without an answer or computation after which a worker is replaced."""

_MAX_STARTUP_FAILURES = 3
_LEAST_LOAD = 0.01  # of a processor: less is that of idle background threads
_CHECKS = 10  # in a timeout, at least
_ANNOUNCE_AFTER_S = 10.0

_LOGGER = logging.getLogger(__name__)


class Worker(Protocol):
    """A process that does one thing at a time."""

    def call(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Call a function there; the future has an exception only if the worker is gone."""

    def pulse(self) -> float:
        """Return the processor seconds used so far, as far as is known; does not block."""

    def stop(self) -> None:
        """Kill it."""


@dataclass(slots=True)
class _Call:
    """What a worker does: ``part`` is None while it builds its fitness."""

    future: Future[Any]
    part: Part | None = None
    used: float = 0.0
    silent: float = 0.0
    told: bool = False
    checked: float = field(default_factory=time.monotonic)


class Pool:
    """Evaluates parts with workers, numbered from 0.

    Args:
        start: Starts a worker, when there is first something for it to do, and has it call ``set_up``.
        size: Returns the number of workers.
        timeout: Seconds without an answer or computation after which a worker is replaced; None: no limit.

    Attributes:
        ready: The workers that have built their fitness, by number.
    """

    def __init__(
        self, start: Callable[[int], tuple[Worker, Future[Any]]], size: Callable[[], int], timeout: float | None
    ) -> None:
        if timeout is not None and not timeout > 0:
            raise FitnessError(f"timeout must be above 0 seconds or None, got {timeout}", timeout)
        self.size, self.timeout, self._start = size, timeout, start
        self.ready: dict[int, Ready] = {}
        self._workers: dict[int, Worker] = {}
        self._calls: dict[int, _Call] = {}
        self._waiting: deque[Part] = deque()
        self._startup_failures = 0
        self._described: Mapping[str, Any] | None = None

    def description(self) -> Mapping[str, Any]:
        """Return the description of the workers' fitness; starts a worker if none was ready yet.

        Raises:
            FitnessError: No worker can be started.
        """
        while self._described is None:
            self._start_workers([0])
            list(self._wait())
        return self._described

    def answers(self, parts: Iterable[Part]) -> Generator[tuple[Architecture, Answer], None, None]:
        """Yield each architecture of some parts once, as soon as its part is evaluated.

        The next part is taken only when a worker is free, after all answers so far were yielded. An
        architecture that kills its workers has a ``FitnessError`` as answer.

        Raises:
            FitnessError: No worker can be started, or two hold different weights, data or precision.
        """
        source, size, complete = iter(parts), self.size(), False
        self._waiting.clear()
        try:
            while True:
                busy = sum(call.part is not None for call in self._calls.values())
                self._waiting.extend(islice(source, max(0, size - busy - len(self._waiting))))
                if not self._waiting and not busy:
                    break
                self._assign(size)
                yield from self._wait()
            complete = True
        finally:
            if not complete:  # abandoned: its results are not needed
                self.close()

    def close(self) -> None:
        """Kill all workers; they start again when needed."""
        for number in list(self._workers):
            self._stop(number)

    def _assign(self, size: int) -> None:
        """Hand waiting parts to idle workers, and start workers for the rest."""
        for number in [each for each in range(size) if each in self.ready and each not in self._calls]:
            if self._waiting:
                part = self._waiting.popleft()
                self._calls[number] = _Call(self._workers[number].call(evaluate, part), part)
        starting = sum(call.part is None for call in self._calls.values())
        absent = [each for each in range(size) if each not in self._workers]
        self._start_workers(absent[: max(0, len(self._waiting) - starting)])

    def _start_workers(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            if number not in self._workers:
                self._workers[number], future = self._start(number)
                self._calls[number] = _Call(future)

    def _wait(self) -> Iterator[tuple[Architecture, Answer]]:
        """Wait until a worker has answered or is due for a check, and yield the answers."""
        interval = None if self.timeout is None else min(self.timeout / _CHECKS, _ANNOUNCE_AFTER_S)
        wait([call.future for call in self._calls.values()], interval, FIRST_COMPLETED)
        for number, call in list(self._calls.items()):
            if self._calls.get(number) is not call:  # closed in the meantime
                continue
            if call.future.done():
                del self._calls[number]
                yield from self._finish(number, call)
            elif self.timeout is not None and interval is not None and time.monotonic() - call.checked >= interval:
                call.silent = self._silence(number, call, interval)
                if call.silent >= self.timeout:
                    yield from self._replace(
                        number, call, f"hung: neither answered nor computed for {self.timeout:g} s"
                    )
                elif call.silent >= _ANNOUNCE_AFTER_S and not call.told:
                    call.told = True
                    words = "waiting for %s, which neither answers nor computes; it is replaced after %g s"
                    _LOGGER.warning(words, self._name(number), self.timeout)

    def _name(self, number: int) -> str:
        ready = self.ready.get(number)
        return f"worker {number}" if ready is None else f"worker {number} (process {ready.pid} on {ready.place})"

    def _silence(self, number: int, call: _Call, interval: float) -> float:
        """Return the seconds since a worker last computed; a pause of this process is no pause of the worker."""
        used, now = self._workers[number].pulse(), time.monotonic()
        elapsed, computed = now - call.checked, abs(used - call.used)  # a child that ends takes its seconds away
        call.used, call.checked = used, now
        return 0.0 if computed >= _LEAST_LOAD * elapsed else call.silent + min(elapsed, 2 * interval)

    def _finish(self, number: int, call: _Call) -> Iterator[tuple[Architecture, Answer]]:
        error = call.future.exception()
        if error is not None:
            yield from self._replace(number, call, _cause(error))
        elif call.part is None:
            self._admit(number, call.future.result())
        else:
            self._startup_failures, found = 0, call.future.result()
            for each in call.part.architectures:
                yield each, found.get(each) or FitnessError("the fitness returned nothing for it", each)

    def _replace(self, number: int, call: _Call, cause: str) -> Iterator[tuple[Architecture, Answer]]:
        """Stop a lost worker, and repeat its part; its architecture has failed if it cost too many workers."""
        self._stop(number)
        if call.part is None:
            self._startup_failures += 1
            if self._startup_failures >= _MAX_STARTUP_FAILURES:
                self._startup_failures = 0
                raise FitnessError(f"{_MAX_STARTUP_FAILURES} workers in a row ended before they were ready: {cause}")
            return
        again = call.part.after_failure()
        self._waiting.extendleft(reversed(again))
        for each in () if again else call.part.architectures:
            message = f"its worker died {MAX_WORKER_FAILURES} times with nothing else to do: {cause}"
            yield each, FitnessError(message, each)

    def _admit(self, number: int, ready: Ready | Exception) -> None:
        """Check that a worker's fitness is that of the others."""
        if isinstance(ready, Exception):
            self.close()
            raise FitnessError(f"a worker cannot be set up: {ready}", ready)
        self.ready[number], self._startup_failures = ready, 0
        known = self._described = ready.description if self._described is None else self._described
        for key in sorted(known.keys() | ready.description.keys()):
            first, its = known.get(key), ready.description.get(key)
            if first != its:
                self.close()
                where = f"worker {number} on {ready.place}"
                raise FitnessError(f"all workers must have the same {key}; {where} has {its!r}, another {first!r}")

    def _stop(self, number: int) -> None:
        self.ready.pop(number, None)
        self._calls.pop(number, None)
        self._workers.pop(number).stop()


def _cause(error: BaseException) -> str:
    """Return what ended a worker: the signal or exit code of a process, else the first line of the error."""
    found = re.search(r"exit codes of the workers are {(.+)}", str(error))
    return f"its process ended by {found[1]}" if found else str(error).strip().splitlines()[0]
