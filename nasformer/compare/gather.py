"""Gathering: the complete cells of an experiment as one comparison, in memory and as tables on disk."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer.compare.cell import Cell, load_cell, read_cell
from nasformer.compare.comparison import Comparison, LeftOut
from nasformer.compare.experiment import Experiment
from nasformer.compare.machine import machine
from nasformer.compare.tables import cell_table, trial_table
from nasformer.compare.task import Task
from nasformer.errors import ExperimentError
from nasformer.search.result import versions

if TYPE_CHECKING:
    import pandas as pd

_UNTOLD = {"architecture": "", "params": None, "macs": None}


def gather(
    experiment: Experiment,
    tasks: Mapping[str, Task],
    cells: Sequence[Cell],
    folder: Path,
    left_out: Sequence[LeftOut],
    command: str,
) -> Comparison:
    """Return the comparison of what is complete."""
    rows: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    known: dict[str, list[str]] = {}
    records = {name: task.record(_evaluations(experiment, name)) for name, task in tasks.items()}
    for cell in cells:
        kept = read_cell(folder, cell, tasks[cell.task.name])
        if kept is not None:
            rows.append({**kept["cell"], **(_UNTOLD if cell.task.aggregates_only else {})})
            runs.append(_columns(cell, kept["trials"]))
            for name, version in kept["versions"].items():
                known.setdefault(name, []).append(str(version))
    shared = experiment.to_dict()
    return Comparison(
        title=experiment.title,
        tasks=tuple(records.values()),
        entrants=experiment.entrants,
        seeds=experiment.seeds,
        trials=trial_table(runs),
        cells=cell_table(rows),
        left_out=tuple(left_out),
        command=command,
        settings={key: value for key, value in shared.items() if key not in ("tasks", "strategies", "title")},
        versions={name: ", ".join(dict.fromkeys(values)) for name, values in (known or _now()).items()},
        machine=machine(),
    )


def _now() -> dict[str, list[str]]:
    return {name: [version] for name, version in versions().items()}


def _evaluations(experiment: Experiment, name: str) -> int:
    return next(experiment.evaluations_of(task) for task in experiment.tasks if task.name == name)


def _columns(cell: Cell, kept: Mapping[str, Any]) -> dict[str, Any]:
    figures = {name: column for name, column in kept.items() if name != "architecture"}
    return {"task": cell.task.name, "strategy": cell.entrant.label, "seed": cell.seed, **figures}


def write_tables(folder: Path, cells: Sequence[Cell], comparison: Comparison, parquet: bool = False) -> list[Path]:
    """Write ``cells.csv`` and ``trials.csv.gz``, this with the architecture of each evaluation.

    Args:
        folder: Of the comparison.
        cells: Every run of it.
        comparison: What ``gather`` returned.
        parquet: Whether to write ``.parquet`` instead.

    Raises:
        ExperimentError: Parquet is asked for and pyarrow is not installed.
    """
    if parquet:
        return _write_parquet(folder, cells, comparison)
    paths = folder / "cells.csv", folder / "trials.csv.gz"
    comparison.cells.to_csv(paths[0], index=False)
    with gzip.open(paths[1], "wt", encoding="utf-8", newline="", compresslevel=4) as file:
        for number, frame in enumerate(_with_architectures(folder, cells)):
            frame.to_csv(file, index=False, header=number == 0)
    return list(paths)


def _write_parquet(folder: Path, cells: Sequence[Cell], comparison: Comparison) -> list[Path]:
    import pandas as pd

    paths = folder / "cells.parquet", folder / "trials.parquet"
    try:
        comparison.cells.to_parquet(paths[0], index=False)
        pd.concat(_with_architectures(folder, cells), ignore_index=True).to_parquet(paths[1], index=False)
    except ImportError:
        raise ExperimentError("writing Parquet needs pyarrow: pip install 'nasformer[parquet]'", folder) from None
    return list(paths)


def _with_architectures(folder: Path, cells: Sequence[Cell]) -> Iterator[pd.DataFrame]:
    for cell in cells:
        kept = load_cell(folder, cell)
        if kept is not None:
            frame = trial_table([_columns(cell, kept["trials"])])
            frame.insert(4, "architecture", kept["trials"]["architecture"])
            yield frame
