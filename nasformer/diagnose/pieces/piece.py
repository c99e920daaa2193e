"""Definitions shared by the pieces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nasformer.architecture import Architecture
from nasformer.diagnose.bench import Bench
from nasformer.diagnose.jobs import Alone, Job, JobResult, Search, done

STRATEGIES = ("evolution", "thompson", "random")

Piece = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]


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


def searches(bench: Bench, do: Doing) -> dict[str, list[JobResult]]:
    """Return the searches of every strategy with every seed."""
    seeds = range(bench.plan.searches)
    found = do(bench, [Search(strategy, seed) for strategy in STRATEGIES for seed in seeds], "searches")
    return {name: found[len(seeds) * i : len(seeds) * (i + 1)] for i, name in enumerate(STRATEGIES)}


def retrained(bench: Bench, do: Doing, architectures: Sequence[Architecture]) -> dict[Architecture, JobResult]:
    """Return the retraining of each distinct architecture."""
    distinct = list(dict.fromkeys(architectures))
    found = do(bench, [Alone("retrain", each, bench.plan.recipe) for each in distinct], "trained alone")
    return dict(zip(distinct, found, strict=True))


def seconds_of(*jobs: Sequence[JobResult]) -> float:
    """Return the sequential time of jobs."""
    return sum(float(each["seconds"]) for several in jobs for each in several)


def column(rows: Rows, name: str) -> list[float]:
    """Return one figure of every row."""
    return [row[name] for row in rows]


def having(rows: Rows, *names: str) -> Rows:
    """Return the rows with all of these figures."""
    return [row for row in rows if all(row[name] is not None for name in names)]
