"""Pool: evaluates parts with workers, and replaces workers that die or hang.

It does not know how workers run: ``parallel`` and ``ray`` are its backends. Each architecture is answered once; of a
lost worker only the part in progress is repeated.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness.parts import MAX_WORKER_FAILURES, Part
from nasformer.fitness.worker import Answer, Ready

TIMEOUT = 300.0
"""Default seconds without an answer or computation after which a worker is replaced."""

_MAX_STARTUP_FAILURES = 3
_LEAST_LOAD = 0.01  # of a processor: less is that of idle background threads
_CHECKS = 10  # in a timeout


class Backend(Protocol):
    """Workers, numbered from 0, each of which does one thing at a time.

    A future with an exception means that its worker is gone.
    """

    @property
    def size(self) -> int:
        """Number of workers."""
        ...

    def start(self, worker: int) -> Future[Ready | Exception]:
        """Start a worker, which builds its fitness; the error if that fails."""
        ...

    def evaluate(self, worker: int, part: Part) -> Future[list[tuple[Architecture, Answer]]]:
        """Evaluate a part on a worker that is ready."""
        ...

    def pulse(self, worker: int) -> float:
        """Return the processor seconds that a worker has used, as far as is known; does not block."""
        ...

    def cause(self, worker: int, error: BaseException) -> str:
        """Return what ended a worker, from the exception of its future."""
        ...

    def stop(self, worker: int) -> None:
        """Kill a worker."""
        ...


@dataclass(slots=True)
class _Call:
    """What a worker does: ``part`` is None while it builds its fitness."""

    future: Future[Any]
    part: Part | None = None
    used: float = 0.0
    silent: float = 0.0
    checked: float = field(default_factory=time.monotonic)


class Pool:
    """Evaluates parts with the workers of a backend.

    Args:
        backend: The workers; each starts when there is first something for it to do.
        timeout: Seconds without an answer or computation after which a worker is replaced; None: no limit.

    Attributes:
        ready: The workers that have built their fitness, by number.
    """

    def __init__(self, backend: Backend, timeout: float | None = TIMEOUT) -> None:
        if timeout is not None and not timeout > 0:
            raise FitnessError(f"timeout must be above 0 seconds or None, got {timeout}", timeout)
        self.backend, self.timeout = backend, timeout
        self.ready: dict[int, Ready] = {}
        self._calls: dict[int, _Call] = {}
        self._waiting: deque[Part] = deque()
        self._startup_failures = 0
        self._described: Mapping[str, Any] | None = None
        self._broken: FitnessError | None = None

    def description(self) -> Mapping[str, Any]:
        """Return the description of the workers' fitness; starts a worker if none was ready yet.

        Raises:
            FitnessError: No worker can be started.
        """
        while self._described is None:
            if not self._calls:
                self._start(0)
            list(self._wait())
        return self._described

    def answers(self, parts: Iterable[Part]) -> Generator[tuple[Architecture, Answer], None, None]:
        """Yield each architecture of some parts once, as soon as its part is evaluated.

        The next part is asked for only when a worker is free, after all answers so far were yielded. An
        architecture that kills its workers has a ``FitnessError`` as answer.

        Raises:
            FitnessError: No worker can be started, or two hold different weights, data or precision.
        """
        source, size, complete = iter(parts), self.backend.size, False
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
        for worker in {**self.ready, **self._calls}:
            self._stop(worker)

    def _assign(self, size: int) -> None:
        """Hand waiting parts to idle workers, and start workers for the rest."""
        for worker in [each for each in range(size) if each in self.ready and each not in self._calls]:
            if self._waiting:
                part = self._waiting.popleft()
                self._calls[worker] = _Call(self.backend.evaluate(worker, part), part)
        starting = sum(call.part is None for call in self._calls.values())
        absent = [each for each in range(size) if each not in self.ready and each not in self._calls]
        for worker in absent[: max(0, len(self._waiting) - starting)]:
            self._start(worker)

    def _start(self, worker: int) -> None:
        if self._broken is not None:
            raise self._broken
        self._calls[worker] = _Call(self.backend.start(worker))

    def _wait(self) -> Iterator[tuple[Architecture, Answer]]:
        """Wait until a worker has answered or is due for a check, and yield the answers."""
        interval = None if self.timeout is None else self.timeout / _CHECKS
        wait([call.future for call in self._calls.values()], interval, FIRST_COMPLETED)
        for worker, call in list(self._calls.items()):
            if self._calls.get(worker) is not call:  # closed in the meantime
                continue
            if call.future.done():
                del self._calls[worker]
                yield from self._finish(worker, call)
            elif interval is not None and time.monotonic() - call.checked >= interval and self._hangs(worker, call):
                yield from self._replace(worker, call, f"hung: neither answered nor computed for {self.timeout:g} s")

    def _finish(self, worker: int, call: _Call) -> Iterator[tuple[Architecture, Answer]]:
        error = call.future.exception()
        if error is not None:
            yield from self._replace(worker, call, self.backend.cause(worker, error))
        elif call.part is None:
            self._admit(worker, call.future.result())
        else:
            self._startup_failures = 0
            found = dict(call.future.result())
            for architecture in call.part.architectures:
                missing = FitnessError("the fitness returned nothing for it", architecture)
                yield architecture, found.get(architecture, missing)

    def _hangs(self, worker: int, call: _Call) -> bool:
        assert self.timeout is not None, "checked only with a timeout"
        used, now = self.backend.pulse(worker), time.monotonic()
        elapsed = now - call.checked
        # The seconds of a child go when it ends. A pause of this process must not count as one of the worker.
        computed = abs(used - call.used) >= _LEAST_LOAD * elapsed
        call.silent = 0.0 if computed else call.silent + min(elapsed, 2 * self.timeout / _CHECKS)
        call.used, call.checked = used, now
        return call.silent >= self.timeout

    def _replace(self, worker: int, call: _Call, cause: str) -> Iterator[tuple[Architecture, Answer]]:
        """Stop a lost worker, and repeat its part; its architectures have failed if they cost too many workers."""
        self._stop(worker)
        if call.part is None:
            self._startup_failures += 1
            if self._startup_failures >= _MAX_STARTUP_FAILURES:
                raise self._break(
                    f"{_MAX_STARTUP_FAILURES} workers in a row ended before they were ready; the last: {cause}"
                )
            return
        again = call.part.after_failure()
        self._waiting.extendleft(reversed(again))
        for architecture in () if again else call.part.architectures:
            message = f"its worker died {MAX_WORKER_FAILURES} times with nothing else to do: {cause}"
            yield architecture, FitnessError(message, architecture)

    def _admit(self, worker: int, ready: Ready | Exception) -> None:
        """Check that a worker's fitness is that of the others."""
        if isinstance(ready, Exception):
            self._stop(worker)
            raise self._break(f"a worker cannot be set up: {ready}", ready)
        self.ready[worker], self._startup_failures = ready, 0
        known = self._described = ready.description if self._described is None else self._described
        for key in sorted(known.keys() | ready.description.keys()):
            first, its = known.get(key), ready.description.get(key)
            if first != its:
                where = f"worker {worker} on {ready.place}"
                raise self._break(f"all workers must have the same {key}; {where} has {its!r}, another {first!r}")

    def _break(self, message: str, value: object = None) -> FitnessError:
        self._broken = FitnessError(message, value)
        self.close()
        return self._broken

    def _stop(self, worker: int) -> None:
        self.ready.pop(worker, None)
        self._calls.pop(worker, None)
        self.backend.stop(worker)
