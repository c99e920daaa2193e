"""Timing: interleaved passes, so that drift of the machine affects all equally."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

Key = TypeVar("Key")
Pass = Callable[[], object]

_WARM_UP = 3
_CALLS = 3


def rounds(passes: Mapping[Key, Pass], repeats: int, wait: Pass = lambda: None) -> dict[Key, list[float]]:
    """Return the seconds of each pass in every round, after warm-up rounds.

    A round calls each pass once to warm the caches, then a few times, of which the fastest counts: other programs on
    the machine interrupt the others.

    Args:
        passes: Measured functions by name.
        repeats: Timed rounds.
        wait: Called before and after each pass, to synchronise the device.

    >>> [len(seconds) for seconds in rounds({"sum": lambda: sum(range(9))}, repeats=5).values()]
    [5]
    """
    times: dict[Key, list[float]] = {key: [] for key in passes}
    for number in range(_WARM_UP + repeats):
        for key, run in passes.items():
            run()
            seconds = min(_seconds(run, wait) for _ in range(_CALLS))
            if number >= _WARM_UP:
                times[key].append(seconds)
    return times


def _seconds(run: Pass, wait: Pass) -> float:
    wait()
    start = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - start
