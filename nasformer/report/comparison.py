"""Report of a comparison as HTML, Markdown and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer._io import to_json, without_formulas
from nasformer.compare import Comparison
from nasformer.errors import NasformerError
from nasformer.report.markdown import markdown
from nasformer.report.page import Subject, Tile, plain, render, write_files
from nasformer.report.section import series_of, task_section
from nasformer.report.tables import pairs
from nasformer.report.tables.record import checklist_table, geometry_table, run_tables, space_table
from nasformer.report.tables.table import Series

if TYPE_CHECKING:
    from nasformer.report.figures import Picture
    from nasformer.report.statistics import Across, Analysis

FORMATS = {"html": "report.html", "markdown": "report.md", "json": "report.json"}


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
    texts = {"cells.csv": without_formulas(comparison.cells).to_csv(index=False)}
    pictures: list[Picture | None] = []
    if FORMATS["html"] in names:
        texts[FORMATS["html"]], pictures = _html(comparison, analysis)
    if FORMATS["markdown"] in names:
        texts[FORMATS["markdown"]] = markdown(comparison, analysis)
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


def _html(comparison: Comparison, analysis: Analysis) -> tuple[str, list[Picture | None]]:
    series = series_of(comparison)
    sections = [task_section(comparison, task, n, series) for n, task in enumerate(analysis.tasks, start=1)]
    across = None if analysis.across is None else _across(analysis.across, analysis, series)
    pictures = [across and across["diagram"], *(each for section in sections for each in section["pictures"])]
    spaces = {task.record.space.fingerprint: task.record.space for task in analysis.tasks}
    html = render(
        "comparison.html.j2",
        Subject.of(comparison),
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
    said = {"summary": analysis.summary, "warnings": [str(each) for each in analysis.warnings]}
    found = {**record, "tasks": tasks, "cells": cells, "analysis": {**plain(analysis), **said}}
    return to_json(plain(found), indent=1) + "\n"


def _across(across: Across, analysis: Analysis, series: Series) -> dict[str, Any]:
    from nasformer.report.figures import draw_critical_difference

    held_out = analysis.held_out and pairs.leaderboard_table(analysis.held_out, analysis.tasks, series, "held-out")
    return {
        "held_out": held_out,
        "leaderboard": pairs.leaderboard_table(across, analysis.tasks, series),
        "diagram": draw_critical_difference(across, series) if len(across.ranks) > 2 else None,
        "tally": pairs.tally_table(across, series),
        "words": across.words,
    }
