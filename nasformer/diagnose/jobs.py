"""Jobs: independent, resumable units of a diagnosis, run in processes.

The result of a job is one small JSON file, named by a hash of all its inputs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from nasformer._record import read_record
from nasformer.compare.pool import pool_of, progress_bar
from nasformer.diagnose.bench import Bench
from nasformer.errors import DiagnosisError
from nasformer.supernet.checkpoint import replace_file
from nasformer.training.state import FILE as STATE

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


def seconds_of(*jobs: Sequence[JobResult]) -> float:
    """Return the sequential time of jobs."""
    return sum(float(each["seconds"]) for several in jobs for each in several)
