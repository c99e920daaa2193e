"""Table: text cells with sort keys; the template escapes and formats them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count as natural
from typing import Any

from nasformer.report.interval import MetricInterval
from nasformer.report.notation import MISSING
from nasformer.tasks import Metric

JsonObject = Mapping[str, Any]

Series = Mapping[str, int]
"""Number of each strategy, by label."""

_FOLDED_FROM = 9


def numbered() -> Series:
    """Return a number for every label, in the order of first use."""
    return defaultdict(natural().__next__)


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
    """A table of text."""

    name: str  # its id in the page
    caption: str
    header: Sequence[str]  # one title per column; the first column names the rows
    rows: Sequence[Sequence[str]]  # cells, one per column
    marked: int | None = None  # number of the bold row
    wide: bool = False  # whether cells after the first are left-aligned text
    sortable: bool = True  # whether a click on a title sorts the rows
    folded: str = ""  # label of a folded table; empty: not folded


def facts(name: str, caption: str, rows: Sequence[Sequence[str]]) -> Table:
    """Return a table of names and values."""
    return Table(name, caption, ["", ""], rows, wide=True, sortable=False)


def columns(
    name: str, caption: str, items: Iterable[Any], cells: Mapping[str, Callable[[Any], str]], **options: Any
) -> Table:
    """Return a table with a row for each item, given the cell of every column; columns without a value are dropped."""
    rows = [[cell(item) for cell in cells.values()] for item in items]
    kept = [n for n, title in enumerate(cells) if n == 0 or any(row[n] != MISSING for row in rows)]
    header = [title for n, title in enumerate(cells) if n in kept]
    return Table(name, caption, header, [[row[n] for n in kept] for row in rows], **options)


def folded(rows: int, what: str, most: int = _FOLDED_FROM - 1) -> str:
    """Return the label of a table that is folded as it has more than ``most`` rows; else empty."""
    return f"All {rows:,} {what}" if rows > most else ""


def named(label: str, series: Series) -> Cell:
    """Return a strategy's name as a cell, highlighted with it."""
    return Cell(label, series=series[label])


def number(value: float | None, form: str | Callable[[Any], str] = "{:.4g}") -> Cell:
    """Return a number as a cell, in a form."""
    if value is None or not math.isfinite(value):
        return Cell(MISSING)
    return Cell(form.format(value) if isinstance(form, str) else form(value), float(value))


def count(value: float | None) -> Cell:
    """Return a count as a cell; medians may be half-integers."""
    return number(value, lambda median: f"{median:,.1f}".removesuffix(".0"))


def in_unit(value: float | None, metric: Metric, hint: object = None) -> Cell:
    """Return a value of a metric as a cell, with a second line if known."""
    cell = number(value, metric.text)
    return Cell(cell, cell.key, hint="" if hint is None else str(hint))


def bounds(found: MetricInterval | None) -> Cell:
    """Return an interval as a cell, sorted by its lower end."""
    return Cell(MISSING) if found is None else Cell(str(found), found.low)


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
