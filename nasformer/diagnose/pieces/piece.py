"""Definitions shared by the pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nasformer.diagnose.bench import Bench
from nasformer.diagnose.jobs import Job, JobResult, done

Piece = dict[str, Any]


@dataclass(frozen=True)
class Doing:
    """Runs jobs.

    Attributes:
        workers: Processes.
        progress: Whether to show a progress bar.
    """

    workers: int = 1
    progress: bool = True

    def __call__(self, bench: Bench, jobs: Sequence[Job], what: str) -> list[JobResult]:
        """Return the result of each job."""
        return done(bench, jobs, workers=self.workers, progress=self.progress, what=what)


@dataclass(frozen=True)
class Measure:
    """The measurement of a piece.

    Attributes:
        of: Function from a bench to plain values.
        sizes: Attributes of the plan that its result depends on.
    """

    of: Callable[[Bench, Doing], Piece]
    sizes: tuple[str, ...]


def seconds_of(*jobs: Sequence[JobResult]) -> float:
    """Return the sequential time of jobs."""
    return sum(float(each["seconds"]) for several in jobs for each in several)
