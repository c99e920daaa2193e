"""Cell: one run of a strategy on a task with a seed; a study while running, one file when complete."""

from __future__ import annotations

import gzip
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nasformer._io import atomic, digest, text_digest, to_json
from nasformer._parse import parse_json
from nasformer._provenance import own_source
from nasformer.compare.comparison import Entrant, cell_row, trial_columns
from nasformer.compare.design import shared_design
from nasformer.compare.experiment import Experiment, TaskDeclaration
from nasformer.compare.task import ComparisonTask, opened
from nasformer.errors import ExperimentError
from nasformer.registry import get_strategy
from nasformer.searcher import Searcher


@dataclass(frozen=True)
class Cell:
    """One run."""

    task: TaskDeclaration
    entrant: Entrant
    seed: int  # of the run and of the noise, if any
    evaluations: int  # most distinct ones
    batch_size: int  # architectures per ask
    confirm: int  # recommendations that compete for the winner
    initial_design: int  # size of the shared random initial design

    def __str__(self) -> str:
        return f"{self.entrant.label} on {self.task.name}, seed {self.seed}"

    @property
    def path(self) -> Path:
        """Relative path in the comparison's folder, without suffix."""
        return Path(_slug(self.task.name)) / _slug(self.entrant.label) / f"seed-{self.seed}"

    def searcher(self, task: ComparisonTask) -> Searcher:
        """Return a new searcher.

        Raises:
            StrategyError: The strategy or an option is unknown.
        """
        name: Any = self.entrant.strategy
        if self.initial_design:
            name = shared_design(get_strategy(name), self.initial_design)
        return Searcher(task.space, name, task.judge(self.seed), self.seed, **self.entrant.options)

    def identity(self, task: ComparisonTask) -> str:
        """Return a hash of everything the result depends on, including the code of third-party strategies."""
        run = (self.seed, self.evaluations, self.batch_size, self.confirm, self.initial_design)
        strategy = self.entrant.strategy, dict(self.entrant.options), *_code(self.entrant.strategy)
        return digest([task.identity, *strategy, *run])


@cache
def _code(strategy: str) -> tuple[str, ...]:
    """Return the module source of a third-party strategy; empty for built-in ones."""
    factory = get_strategy(strategy)
    return own_source(getattr(factory, "func", factory))


def cells_of(experiment: Experiment) -> list[Cell]:
    """Return every run; seeds outermost, so that an interrupted comparison is a fair one with fewer seeds."""
    shared = (experiment.batch_size, experiment.confirm, experiment.initial_design)
    return [
        Cell(task, entrant, seed, experiment.evaluations_of(task), *shared)
        for seed in experiment.seeds
        for task in experiment.tasks
        for entrant in experiment.entrants
    ]


def run_cell(cell: Cell, folder: Path, keep_study: bool = False) -> None:
    """Run or resume a cell in the folder of a comparison, and write its file; the study's journal goes unless kept.

    Raises:
        NasformerError: The search could not be created, or failed.
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
    trials = {name: column for name, column in trial_columns(*told, task.truth).items() if isinstance(column, list)}
    _write(cell_file(folder, cell), header, trials)
    if not keep_study:
        with suppress(OSError):
            journal.unlink()


def cell_file(folder: Path, cell: Cell) -> Path:
    """Return the file of a complete cell."""
    return (folder / "cells" / cell.path).with_suffix(".json.gz")


def is_complete(folder: Path, cell: Cell, task: ComparisonTask) -> bool:
    """Return whether a cell is complete.

    Raises:
        ExperimentError: It is damaged, or was run with other settings.
    """
    kept = load_cell(folder, cell, with_trials=False)
    if kept is not None and kept.get("identity") != cell.identity(task):
        path = cell_file(folder, cell)
        raise ExperimentError(
            f"{path} holds {cell}, run with other settings, files or code; choose another --out, or delete it to rerun",
            path,
        )
    return kept is not None


def load_cell(folder: Path, cell: Cell, with_trials: bool = True) -> dict[str, Any] | None:
    """Return the result of ``run_cell``: ``cell``, ``versions`` and ``trials``; None if incomplete.

    Raises:
        ExperimentError: It is damaged.
    """
    path = cell_file(folder, cell)
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            kept: dict[str, Any] = dict(parse_json(file.readline(), finite=False))
            if with_trials:
                kept["trials"] = parse_json(file.readline(), finite=False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise ExperimentError(f"{path} cannot be read ({error}); delete it to rerun", path) from error
    return kept


def _write(path: Path, header: Mapping[str, Any], trials: Mapping[str, Any]) -> None:
    """Write two lines of JSON: the header, which is checked on resume, and the trials."""
    with atomic(path) as draft, gzip.open(draft, "wt", encoding="utf-8", compresslevel=6) as file:
        file.writelines(to_json(line) + "\n" for line in (header, trials))


def _slug(name: str) -> str:
    """Return a unique file name for a label.

    >>> _slug("tpe"), _slug("nevergrad (optimizer=DE)")
    ('tpe', 'nevergrad-optimizer-DE-2e3b03')
    """
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.")
    return plain if plain == name else f"{plain[:60]}-{text_digest(name, 6)}"
