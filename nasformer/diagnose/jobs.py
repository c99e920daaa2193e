"""Jobs: the trainings and searches of a diagnosis, each on its own, over processes, from where it was stopped.

What a job finds is one small JSON file, named by a hash of all that decides it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from nasformer.architecture import Architecture
from nasformer.compare.experiment import digest
from nasformer.compare.pool import pool_of, progress_bar
from nasformer.diagnose.bench import Bench
from nasformer.errors import DiagnosisError
from nasformer.fitness import CachedFitness, InheritedFitness
from nasformer.searcher import Searcher
from nasformer.supernet import Supernet
from nasformer.supernet.checkpoint import replace_file
from nasformer.supernet.sharing import WeightSharing
from nasformer.training import Recipe, finetune, retrain, train_supernet
from nasformer.training.state import FILE as STATE
from nasformer.training.supernet import FILE as WEIGHTS

_LOGGER = logging.getLogger(__name__)
_BATCH = 10

JobResult = dict[str, Any]


class Job(Protocol):
    """Something that takes minutes."""

    def name(self, bench: Bench) -> str:
        """Return the name of its file: of all that decides what it finds."""

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Do it, from where it was stopped in ``folder``, and return plain values."""


@dataclass(frozen=True)
class Alone:
    """One network trained alone, from scratch or from inherited weights, and judged on the test images.

    ``seed`` counts from the recipe's own.
    """

    kind: Literal["retrain", "finetune"]
    architecture: Architecture
    recipe: Mapping[str, Any]
    seed: int = 0

    def name(self, bench: Bench) -> str:
        """Return the name of its file."""
        inherited = bench.weights if self.kind == "finetune" else bench.net.space.fingerprint
        how = [self.architecture.to_dict(), dict(self.recipe), self.seed]
        return f"{self.kind}-{digest([*how, inherited, bench.images])}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Train, judge, and keep the figures alone."""
        recipe = reseeded(self.recipe, self.seed)
        options: dict[str, Any] = {"out": folder, "resume": True, "device": bench.device, "progress": False}
        if self.kind == "retrain":
            result = retrain(self.architecture, bench.net.space, bench.data, recipe, **options)
        else:
            result = finetune(bench.net.extract(self.architecture), bench.data, recipe, **options)
        test = result.figures["test"]
        return {"accuracy": test["accuracy"], "loss": test["loss"], "seconds": result.training.seconds}


@dataclass(frozen=True)
class Shared:
    """A supernet, trained with one way of sharing weights."""

    sharing: WeightSharing
    recipe: Mapping[str, Any]

    def name(self, bench: Bench) -> str:
        """Return the name of its file."""
        return f"{self.sharing}-{digest([bench.net.space.fingerprint, dict(self.recipe), bench.images])}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Train, and keep the weights."""
        recipe = Recipe(**self.recipe)
        net = Supernet(bench.net.space, seed=recipe.seed, weight_sharing=self.sharing)
        options: dict[str, Any] = {"out": folder, "resume": True, "device": bench.device, "progress": False}
        result = train_supernet(net, bench.data, recipe, **options)
        parameters = sum(parameter.numel() for parameter in net.parameters())
        file = (folder / WEIGHTS).relative_to(bench.folder)
        return {"file": str(file), "parameters": parameters, "seconds": result.seconds}


@dataclass(frozen=True)
class Search:
    """A search with inherited weights under the diagnosis's budget."""

    strategy: str
    seed: int
    file: str | None = None
    """Another supernet than the one under diagnosis: its file in the diagnosis's folder, named by its training."""

    def name(self, bench: Bench) -> str:
        """Return the name of its file."""
        size = bench.plan.identity("evaluations", "search_images")
        return f"{self.strategy}-{self.seed}-{digest([bench.identity, size, self.file])}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Search, and return the winner and the best accuracy seen so far, evaluation by evaluation."""
        net = Supernet.load(bench.folder / self.file, bench.net.space) if self.file else bench.net
        judge = InheritedFitness(net, bench.searched, device=bench.device, data=bench.data.record, decoded=False)
        kept = bench.folder / "evaluations" / f"{digest([judge.describe(), bench.images])}.sqlite"
        folder.mkdir(parents=True, exist_ok=True)
        result = Searcher(bench.net.space, self.strategy, CachedFitness(judge, kept), self.seed).run(
            dict(bench.plan.budget) or None,
            evaluations=bench.plan.evaluations,
            batch_size=_BATCH,
            storage=folder / "study.log",
            study=self.strategy,
            progress=False,
        )
        told = [trial.value for trial in result.trials if trial.value is not None]
        best = [max(told[: count + 1]) for count in range(len(told))]
        return {
            "architecture": result.best.architecture.to_dict(),
            "search": result.best.fitness,
            "curve": best,
            "seconds": sum(trial.seconds for trial in result.trials),
        }


def reseeded(recipe: Mapping[str, Any], seed: int) -> Recipe:
    """Return the recipe of the ``seed``-th training by it, counted from the recipe's own seed."""
    return Recipe(**{**recipe, "seed": recipe["seed"] + seed})


def done(bench: Bench, jobs: Sequence[Job], *, workers: int, progress: bool, what: str) -> list[JobResult]:
    """Return what each job finds, running those that are not yet done, over processes.

    Raises:
        DiagnosisError: A process was killed.
        NasformerError: A job failed.
    """
    names = [job.name(bench) for job in jobs]
    waiting = {name: job for name, job in zip(names, jobs, strict=True) if not _file(bench, name).exists()}
    bar = progress_bar(progress)
    with bar:
        row = bar.add_task(what, total=len(jobs), completed=len(jobs) - len(waiting), last="")
        for name in _run(bench, waiting, min(workers, len(waiting))):
            bar.update(row, advance=1, last=name)
    return [json.loads(_file(bench, name).read_text(encoding="utf-8")) for name in names]


def _run(bench: Bench, waiting: Mapping[str, Job], workers: int) -> Iterator[str]:
    """Yield the name of each job once it is done."""
    if workers <= 1:
        for name, job in waiting.items():
            _finish(bench, name, job)
            yield name
        return
    try:
        with pool_of(workers, _begin, bench) as pool:
            futures = {pool.submit(_finish_here, name, job): name for name, job in waiting.items()}
            for future in as_completed(futures):
                future.result()
                yield futures[future]
    except BrokenProcessPool as error:
        raise DiagnosisError(
            "a process was killed, perhaps for want of memory; the same command goes on, with fewer --workers", workers
        ) from error


_HERE: list[Bench] = []


def _begin(bench: Bench) -> None:
    _HERE.append(bench)


def _finish_here(name: str, job: Job) -> None:
    _finish(_HERE[0], name, job)


def _finish(bench: Bench, name: str, job: Job) -> None:
    folder = bench.folder / "jobs" / name
    found = job.run(bench, folder)
    replace_file(_file(bench, name), (json.dumps(found, indent=1) + "\n").encode())
    (folder / STATE).unlink(missing_ok=True)  # only now: until it is told, a stop goes on from there
    _LOGGER.info("%s: %s", name, {key: value for key, value in found.items() if key != "curve"})


def _file(bench: Bench, name: str) -> Path:
    return bench.folder / "found" / f"{name}.json"
