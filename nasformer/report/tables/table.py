"""Table: text cells with sort keys; the template escapes and formats them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nasformer.report.notation import MISSING
from nasformer.tasks import Metric

JsonObject = Mapping[str, Any]


class Cell(str):
    """Text of a cell, with its sort key and the number of the strategy it names.

    >>> Cell("2 min 05 s", 125).key
    125
    """

    key: float | None
    series: int | None
    mood: str
    hint: str

    def __new__(
        cls, text: str, key: float | None = None, *, series: int | None = None, mood: str = "", hint: str = ""
    ) -> Cell:
        """Return the text with its sort key; ``mood`` is a CSS class, ``hint`` a second line."""
        cell = super().__new__(cls, text)
        cell.key = None if key is None or not math.isfinite(key) else key
        cell.series, cell.mood, cell.hint = series, mood, hint
        return cell


def as_cell(text: str) -> Cell:
    """Return a text as a cell, and a cell unchanged."""
    return text if isinstance(text, Cell) else Cell(text)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text.

    Args:
        name: Id in the page.
        caption: Caption.
        header: One title per column; the first column names the rows.
        rows: Cells, one per column.
        marked: Number of the bold row; None: none.
        wide: Whether cells after the first are left-aligned text.
        sortable: Whether a click on a title sorts the rows.
        folded: Label of a folded table; empty: not folded.
    """

    name: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: int | None = None
    wide: bool = False
    sortable: bool = True
    folded: str = ""


def facts(name: str, caption: str, rows: Sequence[Sequence[str]]) -> Table:
    """Return a table of names and values."""
    return Table(name, caption, ["", ""], rows, wide=True, sortable=False)


def number(value: float | None, text: str | None = None) -> Cell:
    """Return a number as a cell, as the given text or with four digits."""
    if value is None or not math.isfinite(value):
        return Cell(MISSING)
    return Cell(f"{value:.4g}" if text is None else text, float(value))


def count(value: float | None) -> Cell:
    """Return a count as a cell; medians may be half-integers."""
    return number(value, None if value is None else f"{value:,.1f}".removesuffix(".0"))


def in_unit(value: float | None, metric: Metric, hint: object = None) -> Cell:
    """Return a value of a metric as a cell, with a second line if known."""
    cell = number(value, None if value is None else metric.text(value))
    return Cell(cell, cell.key, hint="" if hint is None else str(hint))


def without_empty(table: Table) -> Table:
    """Drop columns without any value."""
    kept = [i for i in range(len(table.header)) if i == 0 or any(row[i] != MISSING for row in table.rows)]
    header = [table.header[index] for index in kept]
    return replace(table, header=header, rows=[[row[index] for index in kept] for row in table.rows])


def flattened(record: JsonObject, prefix: str = "") -> list[list[str]]:
    """Return nested plain data as rows of two cells.

    >>> flattened({"name": "digits", "splits": {"train": 1078, "test": 360}, "betas": [0.9, 0.999]})
    [['name', 'digits'], ['splits train', '1,078'], ['splits test', '360'], ['betas', '0.9, 0.999']]
    """
    rows: list[list[str]] = []
    for key, value in record.items():
        if isinstance(value, Mapping):
            rows += flattened(value, f"{prefix}{key} ")
        else:
            rows.append([f"{prefix}{key}".replace("_", " "), _plain(value, grouping="seed" not in str(key))])
    return rows


def _plain(value: object, grouping: bool = True) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and grouping:
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(_plain(item, grouping) for item in value) if isinstance(value, (list, tuple)) else str(value)
