"""Section: figures, tables and findings of one task."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from nasformer.architecture import Architecture
from nasformer.compare import Comparison
from nasformer.report.notation import listed, worth
from nasformer.report.tables import outcome, pairs
from nasformer.report.tables.record import task_table
from nasformer.report.tables.table import Series, Table
from nasformer.report.words import say

if TYPE_CHECKING:
    import pandas as pd

    from nasformer.report.figures import Picture
    from nasformer.report.statistics import TaskAnalysis

_DRAWN = 4
_NAMED = 3


def series_of(comparison: Comparison) -> Series:
    """Return the number of each strategy, which sets its colour and marker."""
    return {label: number for number, label in enumerate(comparison.labels)}


def task_section(comparison: Comparison, task: TaskAnalysis, number: int, series: Series) -> dict[str, Any]:
    """Return the section of a task: its id, title, power statement, figures and tables by name, and drawings."""
    from nasformer.report import figures

    end = f"-{number}"
    drawn = {
        "anytime": figures.draw_anytime(task, series, f"anytime{end}"),
        "finals": figures.draw_finals(task, comparison.cells, series, f"finals{end}"),
        "curse": figures.draw_curse(task, comparison.cells, series, f"curse{end}"),
        "fronts": figures.draw_fronts(task, series, f"fronts{end}"),
    }
    drawings = _drawings(comparison, task, end)
    return {
        "name": f"task{end}",
        "title": task.record.title,
        "power": power_statement(task),
        "figures": drawn,
        "tables": task_tables(comparison, task, series, end),
        "drawings": drawings,
        "pictures": [*drawn.values(), *drawings],
    }


def task_tables(comparison: Comparison, task: TaskAnalysis, series: Series, end: str = "") -> dict[str, Table | None]:
    """Return the tables of a task by name; None if there is nothing to show."""
    several, tested = sum(standing.n for standing in task.ranking) > 1, any(pair.p is not None for pair in task.pairs)
    return {
        "ranking": outcome.ranking_table(task, series, f"ranking{end}") if several else None,
        "matrix": pairs.matrix_table(task, series, f"matrix{end}") if len(task.ranking) > 2 and tested else None,
        "pairs": pairs.pairs_table(task, series, f"pairs{end}") if task.pairs else None,
        "fronts": outcome.fronts_table(task, series, f"hypervolume{end}") if task.fronts else None,
        "effort": outcome.effort_table(task, series, f"effort{end}"),
        "runs": outcome.runs_table(comparison, task, series, f"runs{end}"),
        "task": task_table(task.record, f"record{end}"),
    }


def power_statement(task: TaskAnalysis) -> str:
    """Return the power statement: the detectable difference; empty if there is nothing to compare."""
    return say("power", power=task.power, metric=task.record.metric) if task.pairs else ""


def _drawings(comparison: Comparison, task: TaskAnalysis, end: str) -> list[Picture]:
    from nasformer.report import figures

    mine, column = task.finals(comparison.cells)
    told = mine[mine[column].notna() & (mine["architecture"] != "")]
    best = told.sort_values([column, "params"], ascending=[False, True], kind="stable")
    shown = []
    for number, (text, runs) in enumerate(list(best.groupby("architecture", sort=False))[:_DRAWN], start=1):
        architecture = Architecture.from_dict(json.loads(str(text)))
        title = f"{worth(outcome.metric_of(task), float(runs[column].iloc[0]))}, found by {_finders(runs)}"
        shown.append(figures.draw_architecture(task.record.space, architecture, f"best{end}-{number}", title))
    return shown


def _finders(runs: pd.DataFrame) -> str:
    names = list(dict.fromkeys(runs["strategy"]))
    if len(names) == 1:
        return f"{names[0]} ({f'seed {runs.seed.iloc[0]}' if len(runs) == 1 else f'{len(runs)} seeds'})"
    rest = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return listed([*names[:_NAMED], *rest])
