"""Markdown: findings and tables of a comparison, for pull requests."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nasformer._console import printable
from nasformer.compare import Comparison
from nasformer.report.section import power_statement, series_of, task_tables
from nasformer.report.statistics import Analysis
from nasformer.report.tables.pairs import leaderboard_table
from nasformer.report.tables.record import checklist_table, run_tables
from nasformer.report.tables.table import Table

_SHOWN = ("ranking", "pairs", "effort")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~&!])")


def markdown(comparison: Comparison, analysis: Analysis) -> str:
    """Return findings, warnings and tables."""
    series = series_of(comparison)
    blocks = [f"# {escaped(comparison.title)}", *map(escaped, analysis.summary)]
    if analysis.warnings:
        blocks += ["**Warnings**", "\n".join(f"- {escaped(str(each))}" for each in analysis.warnings)]
    if analysis.across is not None:
        leaders = leaderboard_table(analysis.across, analysis.tasks, series)
        blocks += ["## All tasks", _table(leaders), escaped(analysis.across.words)]
    if analysis.held_out is not None:
        blocks.append(_table(leaderboard_table(analysis.held_out, analysis.tasks, series, "held-out")))
    for task in analysis.tasks:
        tables = task_tables(comparison, task, series)
        blocks += [f"## {escaped(task.record.title)}", *(_table(tables[name]) for name in _SHOWN)]
        blocks.append(escaped(power_statement(task)))
    blocks += ["## Was it fair?", _table(checklist_table(analysis.checklist))]
    blocks += ["## Reproduction", f"    {printable(comparison.command)}" if comparison.command else ""]
    blocks += map(_table, run_tables(comparison))
    return "\n\n".join(filter(None, blocks)) + "\n"


def _table(shown: Table | None) -> str:
    if shown is None:
        return ""
    first = "| :-- " + ("| :-- " if shown.wide else "| --: ") * (len(shown.header) - 1) + "|"
    rows = [_row(shown.header), first, *map(_row, shown.rows)]
    return f"{escaped(shown.caption)}\n\n" + "\n".join(rows)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escaped(" ".join(str(cell).split())) for cell in cells) + " |"


def escaped(text: str) -> str:
    r"""Return text with Markdown escaped.

    >>> escaped("a|b <i> _c_")
    'a\\|b \\<i\\> \\_c\\_'
    """
    return _SPECIAL.sub(r"\\\1", printable(text))
