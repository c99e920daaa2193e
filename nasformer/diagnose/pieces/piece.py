"""Piece: how one is measured, and the words that all of them share."""

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
    """How jobs are run.

    Attributes:
        workers: Processes.
        progress: Whether a bar is shown.
    """

    workers: int = 1
    progress: bool = True

    def __call__(self, bench: Bench, jobs: Sequence[Job], what: str) -> list[JobResult]:
        """Return what each job finds."""
        return done(bench, jobs, workers=self.workers, progress=self.progress, what=what)


@dataclass(frozen=True)
class Measure:
    """A piece of a diagnosis.

    Attributes:
        of: Measures it: from a bench to plain values.
        sizes: Attributes of the plan that decide what it finds.
    """

    of: Callable[[Bench, Doing], Piece]
    sizes: tuple[str, ...]


def searches(bench: Bench, do: Doing) -> dict[str, list[JobResult]]:
    """Return what every strategy finds with every seed."""
    seeds = range(bench.plan.searches)
    found = do(bench, [Search(strategy, seed) for strategy in STRATEGIES for seed in seeds], "searches")
    return {name: found[len(seeds) * i : len(seeds) * (i + 1)] for i, name in enumerate(STRATEGIES)}


def retrained(bench: Bench, do: Doing, architectures: Sequence[Architecture]) -> dict[Architecture, JobResult]:
    """Return what each network finds that is trained alone, each once."""
    distinct = list(dict.fromkeys(architectures))
    found = do(bench, [Alone("retrain", each, bench.plan.recipe) for each in distinct], "trained alone")
    return dict(zip(distinct, found, strict=True))


def seconds_of(*jobs: Sequence[JobResult]) -> float:
    """Return the seconds that jobs took, one after the other."""
    return sum(float(each["seconds"]) for several in jobs for each in several)


def column(rows: Rows, name: str) -> list[float]:
    """Return one figure of every row."""
    return [row[name] for row in rows]


def having(rows: Rows, *names: str) -> Rows:
    """Return the rows that have all of these figures."""
    return [row for row in rows if all(row[name] is not None for name in names)]
