"""Cell: one run, of a strategy on a task with a seed; a study while it runs, one file once it is complete."""

from __future__ import annotations

import gzip
import hashlib
import inspect
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nasformer.compare.comparison import Entrant
from nasformer.compare.design import shared_design
from nasformer.compare.experiment import Experiment, TaskDeclaration, digest
from nasformer.compare.tables import cell_row, plain_columns, trial_columns
from nasformer.compare.task import ComparisonTask, opened
from nasformer.errors import ExperimentError
from nasformer.registry import get_strategy
from nasformer.searcher import Searcher


@dataclass(frozen=True)
class Cell:
    """One run.

    Args:
        task: What is searched.
        entrant: Who searches.
        seed: Of the run and, with noise, of the noise.
        evaluations: Most distinct evaluations.
        batch_size: Architectures per ask.
        confirm: How many of the strategy's recommendations compete.
        initial_design: How many architectures, drawn by the seed, the strategy is told first.
    """

    task: TaskDeclaration
    entrant: Entrant
    seed: int
    evaluations: int
    batch_size: int
    confirm: int
    initial_design: int

    def __str__(self) -> str:
        return f"{self.entrant.label} on {self.task.name}, seed {self.seed}"

    @property
    def path(self) -> Path:
        """Where it is kept, below the folder of the comparison and without a suffix."""
        return Path(_slug(self.task.name)) / _slug(self.entrant.label) / f"seed-{self.seed}"

    def searcher(self, task: ComparisonTask) -> Searcher:
        """Return the search, not begun.

        Raises:
            StrategyError: The strategy or an option of it is unknown.
        """
        name: Any = self.entrant.strategy
        if self.initial_design:
            name = shared_design(get_strategy(name), self.initial_design)
        return Searcher(task.space, name, task.judge(self.seed), self.seed, **self.entrant.options)

    def identity(self, task: ComparisonTask) -> str:
        """Return a hash of all that decides what the run finds; of a strategy from outside, its module's code too."""
        run = (self.seed, self.evaluations, self.batch_size, self.confirm, self.initial_design)
        strategy = self.entrant.strategy, dict(self.entrant.options), *_code(self.entrant.strategy)
        return digest([task.identity, *strategy, *run])


@cache
def _code(strategy: str) -> tuple[str, ...]:
    """Return the source of the module that a strategy from outside is in; nothing of one of ours."""
    factory = get_strategy(strategy)
    module = inspect.getmodule(getattr(factory, "func", factory))
    if module is None or module.__name__.startswith("nasformer."):
        return ()
    try:
        return (inspect.getsource(module),)
    except OSError:  # compiled
        return ()


def cells_of(experiment: Experiment) -> list[Cell]:
    """Return every run; seeds outermost, so that a comparison that is cut short is a fair one of fewer seeds."""
    shared = (experiment.batch_size, experiment.confirm, experiment.initial_design)
    return [
        Cell(task, entrant, seed, experiment.evaluations_of(task), *shared)
        for seed in experiment.seeds
        for task in experiment.tasks
        for entrant in experiment.entrants
    ]


def run_cell(cell: Cell, folder: Path, keep_study: bool = False) -> None:
    """Run a cell, from where it was stopped if it was, and write its file.

    Args:
        cell: What to run.
        folder: Of the comparison.
        keep_study: Whether to leave the study's journal once the file is written.

    Raises:
        NasformerError: The search could not be made or failed.
    """
    task, journal = opened(cell.task, folder / "cache"), (folder / "studies" / cell.path).with_suffix(".log")
    journal.parent.mkdir(parents=True, exist_ok=True)
    result = cell.searcher(task).run(
        cell.task.budget,
        evaluations=cell.evaluations,
        batch_size=cell.batch_size,
        confirm=cell.confirm,
        storage=journal,
        study=str(cell),
        progress=False,
    )
    told = result, cell.task.name, cell.entrant.label
    row = cell_row(*told, truth=task.truth, test=task.test, optimum=task.optimum)
    header = {"identity": cell.identity(task), "cell": row, "versions": dict(result.versions)}
    _write(cell_file(folder, cell), header, plain_columns(trial_columns(*told, task.truth)))
    if not keep_study:
        with suppress(OSError):
            journal.unlink()


def cell_file(folder: Path, cell: Cell) -> Path:
    """Return where a complete cell is."""
    return (folder / "cells" / cell.path).with_suffix(".json.gz")


def is_complete(folder: Path, cell: Cell, task: ComparisonTask) -> bool:
    """Return whether a cell is complete.

    Raises:
        ExperimentError: It is damaged, or was run in another way than is asked for now.
    """
    kept = _read(cell_file(folder, cell), with_trials=False)
    if kept is not None and kept.get("identity") != cell.identity(task):
        path = cell_file(folder, cell)
        raise ExperimentError(
            f"{path} holds {cell}, run with other settings, files or code; "
            "give another --out, or delete it to run it again",
            path,
        )
    return kept is not None


def load_cell(folder: Path, cell: Cell) -> dict[str, Any] | None:
    """Return what ``run_cell`` wrote: ``cell``, ``versions`` and ``trials``; None where it is not complete.

    Raises:
        ExperimentError: It is damaged.
    """
    return _read(cell_file(folder, cell), with_trials=True)


def _read(path: Path, with_trials: bool) -> dict[str, Any] | None:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            kept: dict[str, Any] = json.loads(file.readline())
            if with_trials:
                kept["trials"] = json.loads(file.readline())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        raise ExperimentError(f"{path} cannot be read ({error}); delete it to run it again", path) from error
    return kept


def _write(path: Path, header: Mapping[str, Any], trials: Mapping[str, Any]) -> None:
    """Write two lines of JSON: what is asked of a cell before anything runs, and the trials."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".part")
    with gzip.open(draft, "wt", encoding="utf-8", compresslevel=6) as file:
        file.writelines(json.dumps(line) + "\n" for line in (header, trials))
    draft.replace(path)


def _slug(name: str) -> str:
    """Return a name as a file may have it, unlike that of any other name.

    >>> _slug("tpe"), _slug("nevergrad (optimizer=DE)")
    ('tpe', 'nevergrad-optimizer-DE-2e3b03')
    """
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")
    return plain if plain == name else f"{plain[:60]}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
