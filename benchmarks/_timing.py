"""Timing: interleaved runs of several functions, ratios within a round, and the machine."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

Function = Callable[[], object]


class Spread(NamedTuple):
    """A median with its lowest and highest value."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Return the spread of some values."""
        return cls(statistics.median(values), min(values), max(values))


def rounds(repeats: int, **functions: Function) -> dict[str, list[float]]:
    """Return the seconds of every run; functions run in turn, so that drift hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def medians(repeats: int, **functions: Function) -> dict[str, float]:
    """Return the median seconds of each function."""
    return {name: statistics.median(values) for name, values in rounds(repeats, **functions).items()}


def ratio(slow: list[float], fast: list[float]) -> Spread:
    """Return how many times as long the first took as the second, round by round."""
    return Spread.of([a / b for a, b in zip(slow, fast, strict=True)])


def machine(*packages: str) -> str:
    """Return the processor and the versions of Python and of ``packages``."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    versions = [f"{package} {version(package)}" for package in packages]
    return ", ".join([model, f"Python {platform.python_version()}", *versions])
