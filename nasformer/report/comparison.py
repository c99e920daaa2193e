"""Report of a comparison as HTML, Markdown and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from nasformer._console import printable
from nasformer._io import to_json
from nasformer.architecture import Architecture
from nasformer.compare import Comparison
from nasformer.errors import NasformerError
from nasformer.report.notation import listed, worth
from nasformer.report.page import Subject, Tile, plain, render, write_files
from nasformer.report.tables import comparison as tables
from nasformer.report.tables.record import checklist_table, geometry_table, run_tables, space_table, task_table
from nasformer.report.tables.table import Series, Table
from nasformer.report.words import say

if TYPE_CHECKING:
    import pandas as pd

    from nasformer.report.figures import Picture
    from nasformer.report.statistics import Across, Analysis, TaskAnalysis

FORMATS = {"html": "report.html", "markdown": "report.md", "json": "report.json"}
_SHORT = ("ranking", "pairs", "effort")
"""The tables of a task in Markdown."""

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&!])")
_DRAWN = 4
_NAMED = 3


def write_comparison(
    folder: str | Path,
    comparison: Comparison,
    *,
    formats: Sequence[str] = ("html",),
    front: str | None = None,
    analysis: Analysis | None = None,
) -> Path:
    """Write the report of a comparison, its figures as files, and ``cells.csv``.

    Args:
        folder: Output folder, created if missing.
        comparison: The runs.
        formats: ``html`` (``report.html``, self-contained), ``markdown`` (``report.md``), ``json``.
        front: A cost, such as ``params``, for Pareto fronts; None: none.
        analysis: Result of ``analyse``, if already computed.

    Returns:
        The path of the first format's file.

    Raises:
        NasformerError: A format is unknown, no run is complete, or the folder cannot be written.
    """
    from nasformer.report.statistics import analyse

    names = file_names(formats) or [FORMATS["html"]]
    if comparison.cells.empty:
        raise NasformerError("no run is complete yet, so there is nothing to report", comparison)
    analysis = analysis or analyse(comparison, front=front)
    subject = Subject.of(comparison)
    texts = {subject.download.name: subject.download.text}
    pictures: list[Picture | None] = []
    if FORMATS["html"] in names:
        texts[FORMATS["html"]], pictures = _html(comparison, analysis, subject)
    if FORMATS["markdown"] in names:
        texts[FORMATS["markdown"]] = _markdown(comparison, analysis)
    if FORMATS["json"] in names:
        texts[FORMATS["json"]] = _json(comparison, analysis)
    return write_files(folder, texts, pictures) / names[0]


def file_names(formats: Sequence[str]) -> list[str]:
    """Return the file of each format.

    Raises:
        NasformerError: A format is unknown.
    """
    for name in formats:
        if name not in FORMATS:
            raise NasformerError(f"unknown format {name!r}; known: {', '.join(FORMATS)}", name)
    return [FORMATS[name] for name in formats]


def _html(comparison: Comparison, analysis: Analysis, subject: Subject) -> tuple[str, list[Picture | None]]:
    series = series_of(comparison)
    sections = [task_section(comparison, task, n, series) for n, task in enumerate(analysis.tasks, start=1)]
    across = None if analysis.across is None else _across(analysis.across, analysis, series)
    pictures = [across and across["diagram"], *(each for section in sections for each in section["pictures"])]
    spaces = {task.record.space.fingerprint: task.record.space for task in analysis.tasks}
    html = render(
        "comparison.html.j2",
        subject,
        run_tables(comparison),
        [(section["name"], section["title"]) for section in sections],
        summary=analysis.summary,
        tiles=_tiles(comparison),
        warnings=analysis.warnings,
        across=across,
        sections=sections,
        checklist=checklist_table(analysis.checklist),
        spaces=[(space_table(space), geometry_table(space)) for space in spaces.values()],
    )
    return html, pictures


def _tiles(comparison: Comparison) -> list[Tile]:
    tasks, missing = len(comparison.tasks), comparison.missing
    evaluations = comparison.cells.evaluations.sum()
    return [
        Tile("strategies", str(len(comparison.entrants)), f"on {tasks} task{'s' if tasks > 1 else ''}"),
        Tile("seeds", f"{len(comparison.seeds):,}", "paired between strategies"),
        Tile("runs", f"{len(comparison.cells):,}", f"{missing:,} are missing" if missing else "all complete"),
        Tile("evaluations", f"{evaluations:,}", "distinct within a run"),
    ]


def _json(comparison: Comparison, analysis: Analysis) -> str:
    """Return records, runs and analysis."""
    kept = ("title", "command", "seeds", "settings", "versions", "machine", "entrants")
    record = {name: getattr(comparison, name) for name in kept}
    tasks = [task.to_dict() for task in comparison.tasks]
    cells = comparison.cells.to_dict(orient="records")
    sentences = {"summary": analysis.summary, "warnings": [str(each) for each in analysis.warnings]}
    found = {**record, "tasks": tasks, "cells": cells, "analysis": {**plain(analysis), **sentences}}
    return to_json(plain(found), indent=1) + "\n"


def _across(across: Across, analysis: Analysis, series: Series) -> dict[str, Any]:
    from nasformer.report.figures import draw_critical_difference

    held_out = analysis.held_out and tables.leaderboard_table(analysis.held_out, analysis.tasks, series, "held-out")
    return {
        "held_out": held_out,
        "leaderboard": tables.leaderboard_table(across, analysis.tasks, series),
        "diagram": draw_critical_difference(across, series) if len(across.ranks) > 2 else None,
        "tally": tables.tally_table(across, series),
        "words": across.words,
    }


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
        "ranking": tables.ranking_table(task, series, f"ranking{end}") if several else None,
        "matrix": tables.matrix_table(task, series, f"matrix{end}") if len(task.ranking) > 2 and tested else None,
        "pairs": tables.pairs_table(task, series, f"pairs{end}") if task.pairs else None,
        "fronts": tables.fronts_table(task, series, f"hypervolume{end}") if task.fronts else None,
        "effort": tables.effort_table(task, series, f"effort{end}"),
        "runs": tables.runs_table(comparison, task, series, f"runs{end}"),
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
        title = f"{worth(tables.metric_of(task), float(runs[column].iloc[0]))}, found by {_finders(runs)}"
        shown.append(figures.draw_architecture(task.record.space, architecture, f"best{end}-{number}", title))
    return shown


def _finders(runs: pd.DataFrame) -> str:
    names = list(dict.fromkeys(runs["strategy"]))
    if len(names) == 1:
        return f"{names[0]} ({f'seed {runs.seed.iloc[0]}' if len(runs) == 1 else f'{len(runs)} seeds'})"
    rest = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
    return listed([*names[:_NAMED], *rest])


def _markdown(comparison: Comparison, analysis: Analysis) -> str:
    """Return findings, warnings and tables, for pull requests."""
    series, across, held_out = series_of(comparison), analysis.across, analysis.held_out
    found = ((task, task_tables(comparison, task, series)) for task in analysis.tasks)
    page = _markdown_environment().get_template("comparison.md.j2")
    return page.render(
        comparison=comparison,
        analysis=analysis,
        leaderboard=across and tables.leaderboard_table(across, analysis.tasks, series),
        held_out=held_out and tables.leaderboard_table(held_out, analysis.tasks, series, "held-out"),
        tasks=[(task, [shown[name] for name in _SHORT], power_statement(task)) for task, shown in found],
        checklist=checklist_table(analysis.checklist),
        records=run_tables(comparison),
    )


@cache
def _markdown_environment() -> Environment:
    """Return the environment of Markdown: what is shown is escaped, but for macros."""
    environment = Environment(
        loader=PackageLoader("nasformer.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=lambda value: value if isinstance(value, Markup) else Markup(escaped(str(value))),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "cell": lambda text: Markup(escaped(" ".join(text.split()))),
        "code": lambda text: Markup(printable(text)),
    }
    return environment


def escaped(text: str) -> str:
    r"""Return text with Markdown escaped.

    >>> escaped("a|b <i> _c_")
    'a\\|b \\<i\\> \\_c\\_'
    """
    return _SPECIAL.sub(r"\\\1", printable(text))
