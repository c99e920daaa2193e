"""Rows: a row for each strategy, of dots with their quartiles or interval, or of a filled and an open marker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasformer.report.figures.picture import Picture, belongs, picture, plain
from nasformer.report.palette import MUTED, PAPER, style

_HEIGHT, _JITTER, _ROOM = 0.27, 0.46, 0.55
_GOLDEN = 0.618034


class Row(NamedTuple):
    """A row of values: of dots, or of a filled and an open marker with a thin line."""

    label: str  # sets the colour
    values: Sequence[float]
    box: tuple[float | None, float, float | None] | None = None  # low end, the bar in it, and high end
    line: tuple[float, float] | None = None  # ends of the thin line, of a row of two markers


def draw_rows(
    name: str,
    title: str,
    caption: str,
    rows: Sequence[Row],
    series: Mapping[str, int],
    *,
    x: str,
    mark: float | None = None,
) -> Picture | None:
    """Return the rows, the first on top; None if there are none.

    ``mark`` is where a dashed vertical line is drawn.
    """
    if not rows:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for place, row in enumerate(rows):
            _draw(axes, place, row, series[row.label])
        if mark is not None:
            axes.axvline(mark, color=MUTED.light, linewidth=1, linestyle=(0, (4, 2)))
        axes.set_yticks(range(len(rows)), [plain(row.label) for row in rows], parse_math=False)
        axes.set_ylim(len(rows) - 1 + _ROOM, -_ROOM)
        axes.grid(visible=False, axis="y")
        axes.spines["left"].set_visible(False)
        _linear(axes)
        axes.set_xlabel(x)

    return picture(name, title, caption, paint, height=0.75 + 0.3 * max(3, len(rows)))


def _draw(axes: Axes, place: int, row: Row, number: int) -> None:
    look, dots = style(number), row.line is None
    shift = _JITTER if dots and len(row.values) > 1 else 0.0
    heights = [place + shift * (turn * _GOLDEN % 1 - 0.5) for turn in range(len(row.values))]
    if row.box is not None:
        low, middle, high = row.box
        bar = axes.plot([middle] * 2, [place - _HEIGHT, place + _HEIGHT], color=look.colour, linewidth=2, zorder=3)
        belongs(bar, number)
        if low is not None and high is not None:
            box = axes.barh(place, high - low, left=low, height=2 * _HEIGHT, color=look.colour, alpha=0.14, linewidth=0)
            belongs(box, number)
    if row.line is not None:
        belongs(axes.plot(row.line, [place, place], color=look.colour, linewidth=1, zorder=1), number)
    options: dict[str, Any] = {"color": look.colour, "linestyle": "none"}
    options |= {"markersize": 3.6, "alpha": 0.75, "markeredgewidth": 0} if dots else {"markersize": 6}
    whole = len(row.values) if dots else 1
    belongs(axes.plot(row.values[:whole], heights[:whole], look.marker, **options), number)
    options |= {"markerfacecolor": PAPER.light, "markeredgewidth": 1.4}
    belongs(axes.plot(row.values[whole:], heights[whole:], look.marker, **options), number)


def _linear(axes: Axes) -> None:
    axes.use_sticky_edges = False
    axes.margins(x=0.04)
    low, high = axes.dataLim.intervalx
    if low == high:  # Matplotlib's default margin of five percent could exceed an accuracy of 100 %
        room = 0.005 * abs(low) or 0.5
        axes.set_xlim(low - room, high + room)
    axes.locator_params(axis="x", nbins=6)
    axes.ticklabel_format(axis="x", useOffset=False)
