"""Jobs: independent, resumable trainings and searches of a diagnosis, run in processes.

The result of a job is one small JSON file, named by a hash of all its inputs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from nasformer._io import digest
from nasformer.architecture import Architecture
from nasformer.compare.pool import pool_of, progress_bar
from nasformer.diagnose.bench import Bench
from nasformer.errors import DiagnosisError
from nasformer.fitness import CachedFitness
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
    """A resumable unit of work."""

    def name(self, bench: Bench) -> str:
        """Return its file name, a hash of all inputs."""

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Run or resume it in ``folder``, and return plain values."""


@dataclass(frozen=True)
class Alone:
    """Retraining or fine-tuning of one network, evaluated on the test images.

    ``seed`` is an offset to the recipe's seed.
    """

    kind: Literal["retrain", "finetune"]
    architecture: Architecture
    recipe: Mapping[str, Any]
    seed: int = 0

    def name(self, bench: Bench) -> str:
        """Return its file name."""
        inherited = bench.weights if self.kind == "finetune" else bench.net.space.fingerprint
        how = [self.architecture.to_dict(), dict(self.recipe), self.seed]
        return f"{self.kind}-{digest([*how, inherited, bench.images])}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Train, evaluate, and keep only the figures."""
        recipe = reseeded(self.recipe, self.seed)
        options: dict[str, Any] = {"out": folder, "resume": True, "device": bench.device, "progress": False}
        options["readers"] = bench.readers
        if self.kind == "retrain":
            result = retrain(self.architecture, bench.net.space, bench.data, recipe, **options)
        else:
            result = finetune(bench.net.extract(self.architecture), bench.data, recipe, **options)
        test = result.figures["test"]
        return {**{name: test[name] for name in bench.data.task.objectives}, "seconds": result.training.seconds}


@dataclass(frozen=True)
class Shared:
    """Training of a supernet with one kind of weight sharing."""

    sharing: WeightSharing
    recipe: Mapping[str, Any]

    def name(self, bench: Bench) -> str:
        """Return its file name."""
        return f"{self.sharing}-{digest([bench.net.space.fingerprint, dict(self.recipe), bench.images])}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Train, and keep the weights."""
        recipe = Recipe(**self.recipe)
        net = Supernet(bench.net.space, seed=recipe.seed, weight_sharing=self.sharing)
        options: dict[str, Any] = {"out": folder, "resume": True, "device": bench.device, "progress": False}
        options["readers"] = bench.readers
        result = train_supernet(net, bench.data, recipe, keep=False, **options)
        parameters = sum(parameter.numel() for parameter in net.parameters())
        file = (folder / WEIGHTS).relative_to(bench.folder)
        return {"file": str(file), "parameters": parameters, "seconds": result.seconds}


@dataclass(frozen=True)
class Search:
    """A search with inherited weights under the diagnosis's budget."""

    strategy: str
    seed: int
    file: str | None = None
    """Weights file of another supernet in the diagnosis's folder; None: the diagnosed one."""

    def name(self, bench: Bench) -> str:
        """Return its file name."""
        size = bench.plan.identity("evaluations", "search_images")
        return f"{self.strategy}-{self.seed}-{digest([bench.identity, size, self.file])}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Search, and return the winner and the incumbent's value by evaluation."""
        net = Supernet.load(bench.folder / self.file, bench.net.space) if self.file else bench.net
        judge = bench.fitness(bench.searched, net)
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
        told = [trial.value for trial in result.trials if trial.value is not None and not trial.probe]
        best = [max(told[: count + 1]) for count in range(len(told))]
        return {
            "architecture": result.best.architecture.to_dict(),
            "search": result.best.fitness,
            "curve": best,
            "seconds": sum(trial.seconds for trial in result.trials),
        }


def reseeded(recipe: Mapping[str, Any], seed: int) -> Recipe:
    """Return the recipe with ``seed`` added to its own seed."""
    return Recipe(**{**recipe, "seed": recipe["seed"] + seed})


def done(bench: Bench, jobs: Sequence[Job], *, workers: int, progress: bool, what: str) -> list[JobResult]:
    """Return the result of each job, running the missing ones in processes.

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
    """Yield the name of each completed job."""
    if workers <= 1:
        for name, job in waiting.items():
            _finish(bench, name, job)
            yield name
        return
    try:
        with pool_of(workers, partial(_begin, bench)) as pool:
            futures = {pool.submit(_finish_here, name, job): name for name, job in waiting.items()}
            for future in as_completed(futures):
                future.result()
                yield futures[future]
    except BrokenProcessPool as error:
        raise DiagnosisError(
            "a process was killed, possibly out of memory; resume with the same command and fewer --workers", workers
        ) from error


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
