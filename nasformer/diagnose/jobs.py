"""Jobs: independent, resumable units of a diagnosis, run in processes; a network trained alone, and a search.

The result of a job is one small JSON file, named by a hash of all its inputs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from nasformer._io import digest
from nasformer._record import read_record
from nasformer.architecture import Architecture
from nasformer.compare.pool import progress_bar, run_in_pool
from nasformer.diagnose.bench import Bench
from nasformer.errors import DiagnosisError
from nasformer.search import SearchResult
from nasformer.searcher import Searcher
from nasformer.supernet.checkpoint import replace_file
from nasformer.training import Recipe, retrain
from nasformer.training.compute import for_compute
from nasformer.training.result import TrainingResult
from nasformer.training.state import FILE as STATE

STRATEGY = "thompson"
_BATCH = 10

_LOGGER = logging.getLogger(__name__)

JobResult = dict[str, Any]

Doing = Callable[..., list[JobResult]]
"""``done`` with a number of workers: from a bench, jobs and a title to the results."""


class Job(Protocol):
    """A resumable unit of work."""

    def name(self, bench: Bench) -> str:
        """Return its file name, a hash of all inputs."""

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Run or resume it in ``folder``, and return plain values."""


def done(bench: Bench, jobs: Sequence[Job], what: str, *, workers: int, progress: bool) -> list[JobResult]:
    """Return the result of each job, running the missing ones in processes.

    Raises:
        DiagnosisError: A process was killed.
        NasformerError: A job failed.
    """
    names = [job.name(bench) for job in jobs]
    waiting = {name: job for name, job in zip(names, jobs, strict=True) if not _file(bench, name).exists()}
    with progress_bar(progress) as bar:
        row = bar.add_task(what, total=len(jobs), completed=len(jobs) - len(waiting), last="")
        for name in _run(bench, waiting, min(workers, len(waiting))):
            bar.update(row, advance=1, last=name)
    return [read_record(_file(bench, name)) for name in names]


def _run(bench: Bench, waiting: Mapping[str, Job], workers: int) -> Iterator[str]:
    """Yield the name of each completed job."""
    if workers <= 1:
        for name, job in waiting.items():
            _finish(bench, name, job)
            yield name
        return
    work = {name: (name, job) for name, job in waiting.items()}
    for name, future in run_in_pool(_finish_here, work, workers, DiagnosisError, partial(_begin, bench)):
        future.result()
        yield name


_HERE: list[Bench] = []


def _begin(bench: Bench) -> None:
    _HERE.append(bench)


def _finish_here(name: str, job: Job) -> None:
    _finish(_HERE[0], name, job)


def _finish(bench: Bench, name: str, job: Job) -> None:
    folder = bench.folder / "jobs" / name
    found = job.run(bench, folder)
    replace_file(_file(bench, name), json.dumps(found, indent=1) + "\n")
    (folder / STATE).unlink(missing_ok=True)  # only after the result is written: an interrupted job resumes from it
    _LOGGER.info("%s: %s", name, {key: value for key, value in found.items() if key != "curve"})


def _file(bench: Bench, name: str) -> Path:
    return bench.folder / "found" / f"{name}.json"


def seconds_of(*jobs: Sequence[JobResult]) -> float:
    """Return the sequential time of jobs."""
    return sum(float(each["seconds"]) for several in jobs for each in several)


@dataclass(frozen=True)
class Alone:
    """A network trained alone, evaluated on the test images."""

    architecture: Architecture
    recipe: Mapping[str, Any]
    macs: float | None = None  # compute, from which the epochs follow; None: the recipe's epochs
    seed: int = 0  # added to the recipe's

    def name(self, bench: Bench) -> str:
        """Return its file name."""
        how = [self.architecture.to_dict(), changed(self.recipe), self.macs, self.seed]
        return f"retrain-{digest([*how, bench.net.space.fingerprint, bench.images])}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Train, evaluate, and keep only the figures."""
        recipe, space = reseeded(self.recipe, self.seed), bench.net.space
        if self.macs is not None:
            recipe = for_compute(recipe, self.macs, space.macs(self.architecture), len(bench.data.train))
        recipe = recipe.replace(validate_every=recipe.epochs)
        result = retrain(self.architecture, space, bench.data, recipe, **options(bench, folder))
        test, training = result.figures["test"], result.training
        scores = {name: test[name] for name in bench.data.task.objectives}
        return {**scores, "macs": training.macs, "epochs": passes(training, bench), "seconds": training.seconds}


@dataclass(frozen=True)
class SearchCurve:
    """A search under the middle budget, and the incumbent's value by evaluation."""

    strategy: str
    evaluations: int
    seed: int

    def name(self, bench: Bench) -> str:
        """Return its file name."""
        size = [self.evaluations, bench.plan.identity("search_images", "budgets")]
        return f"{self.strategy}-{self.seed}-{digest([bench.identity, size])}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Search, and return the curve."""
        result = Searcher(
            bench.net.space, self.strategy, bench.fitness(bench.searched, objective=bench.ranking), self.seed
        ).run(
            dict(bench.plan.middle) or None,
            evaluations=self.evaluations,
            batch_size=_BATCH,
            storage=folder / "study.log",
            study=self.strategy,
            progress=False,
        )
        told = [trial.value for trial in result.trials if trial.value is not None and not trial.probe]
        best = [max(told[: count + 1]) for count in range(len(told))]
        return {"architecture": result.best.architecture.to_dict(), "curve": best, "seconds": search_seconds(result)}


def search_seconds(result: SearchResult) -> float:
    """Return the sequential time of a search's evaluations."""
    return sum(trial.seconds for trial in result.trials)


def reseeded(recipe: Mapping[str, Any], seed: int) -> Recipe:
    """Return the recipe with ``seed`` added to its own seed."""
    return Recipe(**{**recipe, "seed": recipe["seed"] + seed})


def passes(training: TrainingResult, bench: Bench) -> float:
    """Return how often a training saw the train images."""
    return training.steps * training.recipe.batch_size / len(bench.data.train)


def changed(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a recipe that are no defaults: later versions have further ones."""
    plain = Recipe().to_dict()
    return {name: value for name, value in recipe.items() if plain.get(name, value) != value}


def options(bench: Bench, folder: Path) -> dict[str, Any]:
    """Return how a training runs in a folder."""
    options: dict[str, Any] = {"out": folder, "resume": True, "device": bench.device, "progress": False}
    return options | {"readers": bench.readers}
