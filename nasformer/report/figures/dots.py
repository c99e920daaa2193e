"""Dot plot: all values of each row, and their mean with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasformer.report.figures.picture import Picture, Trace, belongs, picture
from nasformer.report.figures.text import name_rows
from nasformer.report.palette import INK, MUTED, style

_SPREAD = 0.34
_GOLDEN = 0.618034


class Row(NamedTuple):
    """A row of values.

    Args:
        label: Label, which sets the colour.
        values: The values.
        notes: Tooltip of each value.
        mean: ``value``, ``low`` and ``high``; the ends may be None.
    """

    label: str
    values: Sequence[float]
    notes: Sequence[str]
    mean: Mapping[str, float | None]


def draw_dots(
    name: str, title: str, caption: str, rows: Sequence[Row], series: Mapping[str, int], *, x: str, zero: bool = False
) -> Picture | None:
    """Return the dot plot, first row on top; None without rows.

    Args:
        name: Stem of the files.
        title: Short title.
        caption: Caption.
        rows: The rows.
        series: Number of each label.
        x: Title of the x axis.
        zero: Whether to mark zero with a line.
    """
    if not rows:
        return None

    def paint(figure: Figure) -> Iterator[Trace]:
        axes = figure.add_subplot()
        heights = [_row(axes, place, row, series[row.label]) for place, row in enumerate(rows)]
        if zero:
            axes.axvline(0, color=MUTED.light, linewidth=0.9, linestyle=(0, (4, 2)))
        name_rows(axes, [row.label for row in rows])
        axes.locator_params(axis="x", nbins=6)
        axes.ticklabel_format(axis="x", useOffset=False)
        axes.set_xlabel(x)
        for row, height in zip(rows, heights, strict=True):
            yield Trace(axes, series[row.label], row.label, row.values, height, row.notes)
        for place, row in enumerate(rows):
            mean = row.mean["value"]
            if mean is not None:
                yield Trace(axes, series[row.label], row.label, [mean], [place], [f"mean {_written(row.mean)}"])

    return picture(
        name, title, f"{caption} Diamond and bar: mean and 95 % interval.", paint, height=0.8 + 0.42 * len(rows)
    )


def _row(axes: Axes, place: int, row: Row, number: int) -> list[float]:
    """Draw a row, and return the y positions of its dots."""
    look = style(number)
    heights = [place + _SPREAD * (2 * (turn * _GOLDEN % 1) - 1) for turn in range(len(row.values))]
    options: dict[str, Any] = {"color": look.colour, "markersize": 4, "linestyle": "none", "alpha": 0.6}
    belongs(axes.plot(row.values, heights, look.marker, markeredgewidth=0, **options), number)
    mean, low, high = (row.mean.get(key) for key in ("value", "low", "high"))
    if low is not None and high is not None:
        belongs(axes.plot([low, high], [place, place], color=INK.light, linewidth=1.6, zorder=4), number)
    if mean is not None:
        belongs(axes.plot([mean], [place], "D", color=INK.light, markersize=5, zorder=5), number)
    return heights


def _written(mean: Mapping[str, float | None]) -> str:
    value, low, high = (mean.get(key) for key in ("value", "low", "high"))
    return f"{value:.4g}" if low is None or high is None else f"{value:.4g} ({low:.4g} to {high:.4g})"
