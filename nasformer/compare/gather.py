"""Collects the complete cells of an experiment as a comparison, and writes its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nasformer._io import without_formulas
from nasformer._provenance import machine, versions
from nasformer.compare.cell import Cell, load_cell
from nasformer.compare.comparison import Comparison, LeftOut
from nasformer.compare.experiment import Experiment
from nasformer.compare.tables import cell_table, trial_table
from nasformer.compare.task import ComparisonTask

_UNTOLD = {"architecture": "", "params": None, "macs": None}


def gather(
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


def write_tables(folder: Path, comparison: Comparison, parquet: bool) -> None:
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
