"""Runner: runs or resumes all cells of an experiment in processes, in any order.

The result of a cell depends only on task, strategy and seed, not on the number of processes or their order.
A complete cell is a file; an interrupted one is a resumable study.
"""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nasformer._io import without_formulas, write_file
from nasformer._provenance import machine, versions
from nasformer.compare.cell import Cell, cells_of, is_complete, load_cell, run_cell
from nasformer.compare.comparison import Comparison, LeftOut, cell_table, trial_table
from nasformer.compare.experiment import Experiment, TaskDeclaration, absent_files
from nasformer.compare.pool import progress_bar, run_in_pool
from nasformer.compare.task import ComparisonTask, opened
from nasformer.errors import ExperimentError, NasformerError, StrategyError

_LOGGER = logging.getLogger(__name__)
_UNTOLD = {"architecture": "", "params": None, "macs": None}


def run_experiment(
    experiment: Experiment | str | Path,
    out: str | Path,
    *,
    workers: int | None = None,
    keep_studies: bool = False,
    only_complete: bool = False,
    parquet: bool = False,
    command: str = "",
    progress: bool = True,
) -> Comparison:
    """Run the incomplete cells of an experiment, and return the comparison.

    Args:
        experiment: An experiment, or the path of a declaration.
        out: Folder of the comparison; the same folder resumes.
        workers: Number of processes; None: one per core.
        keep_studies: Whether to keep the studies of complete runs.
        only_complete: Return the complete runs without running more.
        parquet: Whether to write the tables as Parquet instead of CSV.
        command: The shell command, for the report.
        progress: Show a progress bar.

    Raises:
        ExperimentError: Invalid declaration, runs with other settings in the folder, or Parquet
            without pyarrow.
        NasformerError: A task cannot be opened, or a strategy cannot search any task.
    """
    declared = experiment if isinstance(experiment, Experiment) else Experiment.load(experiment)
    folder = Path(out)
    if parquet and find_spec("pyarrow") is None:
        raise ExperimentError("writing Parquet needs pyarrow: pip install 'nasformer[parquet]'", parquet)
    present = _present(declared)
    tasks = {task.name: opened(task, folder / "cache") for task in present.tasks}
    impossible = _impossible(present, tasks, folder)
    cells = [cell for cell in cells_of(present) if (cell.task.name, cell.entrant.label) not in impossible]
    waiting = [cell for cell in cells if not is_complete(folder, cell, tasks[cell.task.name])]
    failed: list[LeftOut] = []
    if waiting and not only_complete:
        processes = min(workers or os.cpu_count() or 1, len(waiting))
        failed = _run(waiting, len(cells), folder, processes, keep_studies, progress)
    left_out = [LeftOut(task, label, reason) for (task, label), reason in impossible.items()] + failed
    comparison = _gather(present, tasks, cells, folder, left_out, command)
    if len(comparison.cells):
        _write_tables(folder, comparison, parquet)
    return comparison


def _present(experiment: Experiment) -> Experiment:
    """Return the experiment without optional tasks with missing files."""
    kept: list[TaskDeclaration] = []
    for task in experiment.tasks:
        absent = absent_files(task)
        if absent and not task.optional:
            raise ExperimentError(f"task {task.name!r} needs {absent[0]}, which is missing", task)
        if absent:
            _LOGGER.warning("task %r is skipped: %s is missing", task.name, absent[0])
        else:
            kept.append(task)
    if not kept:
        raise ExperimentError("no task is left: all have missing files", experiment)
    return experiment.model_copy(update={"tasks": tuple(kept)})


def _impossible(experiment: Experiment, tasks: dict[str, ComparisonTask], folder: Path) -> dict[tuple[str, str], str]:
    """Return the reasons of strategies that refuse tasks, by task and strategy; completed runs are not checked again.

    Raises:
        StrategyError: A strategy refuses all tasks.
    """
    found: dict[tuple[str, str], str] = {}
    first = [cell for cell in cells_of(experiment) if cell.seed == experiment.seeds[0]]
    for cell in first:
        task = tasks[cell.task.name]
        if is_complete(folder, cell, task):
            continue
        try:
            cell.searcher(task).make(task.feasible, cell.evaluations, cell.batch_size)
        except StrategyError as refusal:
            found[cell.task.name, cell.entrant.label] = str(refusal)
            if sum(label == cell.entrant.label for _, label in found) == len(tasks):
                raise
    for (name, label), reason in found.items():
        _LOGGER.warning("%s is excluded from %r: %s", label, name, reason)
    return found


def _run(
    cells: Sequence[Cell], total: int, folder: Path, processes: int, keep_studies: bool, progress: bool
) -> list[LeftOut]:
    """Run cells; failures do not stop the others."""
    failed: list[LeftOut] = []
    work = {number: (cell, folder, keep_studies) for number, cell in enumerate(cells)}
    with progress_bar(progress) as bar:
        row = bar.add_task("runs", total=total, completed=total - len(cells), last="")
        for number, future in run_in_pool(run_cell, work, processes, ExperimentError):
            cell = cells[number]
            if (reason := _reason(future, cell, folder)) is not None:
                failed.append(LeftOut(cell.task.name, cell.entrant.label, reason, cell.seed))
            bar.update(row, advance=1, last=str(cell))
    return failed


def _reason(future: Future[None], cell: Cell, folder: Path) -> str | None:
    """Return the reason of a failure, or None; tracebacks of unexpected errors are written to a file."""
    error = future.exception()
    if error is None:
        return None
    if isinstance(error, NasformerError):
        return str(error)
    path = (folder / "failures" / cell.path).with_suffix(".txt")
    write_file(path, "".join(traceback.format_exception(error)))
    return f"{type(error).__name__}: {' '.join(str(error).split())} ({path})"


def _gather(
    experiment: Experiment,
    tasks: Mapping[str, ComparisonTask],
    cells: Sequence[Cell],
    folder: Path,
    left_out: Sequence[LeftOut],
    command: str,
) -> Comparison:
    """Return the comparison of all complete cells."""
    rows: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    known: dict[str, dict[str, None]] = {}
    records = [tasks[task.name].record(experiment.evaluations_of(task)) for task in experiment.tasks]
    for cell in cells:
        kept = load_cell(folder, cell)
        if kept is not None:
            rows.append({**kept["cell"], **(_UNTOLD if cell.task.aggregates_only else {})})
            place = {"task": cell.task.name, "strategy": cell.entrant.label, "seed": cell.seed}
            runs.append({**place, **kept["trials"]})
            for name, version in kept["versions"].items():
                known.setdefault(name, {})[str(version)] = None
    shared = experiment.to_dict()
    return Comparison(
        title=experiment.title,
        tasks=tuple(records),
        entrants=experiment.entrants,
        seeds=experiment.seeds,
        trials=trial_table(runs),
        cells=cell_table(rows),
        left_out=tuple(left_out),
        command=command,
        settings={key: value for key, value in shared.items() if key not in ("tasks", "strategies", "title")},
        versions={name: ", ".join(values) for name, values in known.items()} or versions(),
        machine=machine(),
    )


def _write_tables(folder: Path, comparison: Comparison, parquet: bool) -> None:
    """Write ``trials.csv.gz``, or both tables as Parquet; the report writes ``cells.csv``."""
    if parquet:
        comparison.cells.to_parquet(folder / "cells.parquet", index=False)
        comparison.trials.to_parquet(folder / "trials.parquet", index=False)
    else:
        without_formulas(comparison.trials).to_csv(
            folder / "trials.csv.gz",
            index=False,
            compression={"method": "gzip", "compresslevel": 4},
            errors="backslashreplace",
        )
