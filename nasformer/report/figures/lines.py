"""Line plot with direct labels and optional error bands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from nasformer.report.figures.picture import Picture, Trace, belongs, picture
from nasformer.report.figures.text import compact_ticks, label_ends
from nasformer.report.palette import style

_MARKED_UP_TO = 40


class Line(NamedTuple):
    """A curve.

    Args:
        label: Label, which sets the colour.
        x: x values.
        y: y values.
        low: Lower edge of the band; empty: no band.
        high: Upper edge of the band.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float | None] = ()
    high: Sequence[float | None] = ()


def draw_lines(
    name: str,
    title: str,
    caption: str,
    lines: Sequence[Line],
    series: Mapping[str, int],
    *,
    x: str,
    y: str,
    log: bool = False,
    steps: bool = False,
    height: float = 2.8,
) -> Picture | None:
    """Return the curves with at least two points; None if there are none.

    Args:
        name: Stem of the files.
        title: Short title.
        caption: Caption.
        lines: The curves.
        series: Number of each label.
        x: Title of the x axis; the part before a comma is used in tooltips.
        y: Title of the y axis.
        log: Whether the x axis is logarithmic.
        steps: Whether curves are step functions.
        height: In inches.
    """
    shown = [line for line in lines if len(line.x) > 1]
    if not shown:
        return None

    def paint(figure: Figure) -> Iterator[Trace]:
        axes = figure.add_subplot()
        for line in shown:
            _draw(axes, line, series[line.label], steps)
        _frame(axes, shown, x, y, log)
        if len(shown) > 1:
            label_ends(axes, {line.label: line.y[-1] for line in shown}, series)
        for line in shown:
            yield Trace(axes, series[line.label], line.label, line.x, line.y, _notes(line, x.partition(",")[0]))

    return picture(name, title, caption, paint, height=height)


def _frame(axes: Axes, lines: Sequence[Line], x: str, y: str, log: bool) -> None:
    if log:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(compact_ticks)
        axes.xaxis.set_minor_formatter(lambda value, position: "")
    else:
        axes.set_xlim(left=0)
    if len(lines) > 1:
        axes.set_xlim(right=max(max(line.x) for line in lines))
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(*axes.get_ylim())


def _draw(axes: Axes, line: Line, number: int, steps: bool) -> None:
    look = style(number)
    marker = look.marker if len(line.x) <= _MARKED_UP_TO else None
    options: dict[str, Any] = {"color": look.colour, "linestyle": look.line, "linewidth": 1.4, "markersize": 3.5}
    options |= {"marker": marker, "clip_on": False, "drawstyle": "steps-post" if steps else "default"}
    belongs(axes.plot(line.x, line.y, **options), number)
    if len(line.low):
        low, high = (np.array(edge, dtype=float) for edge in (line.low, line.high))
        belongs(axes.fill_between(line.x, low, high, color=look.colour, alpha=0.12, linewidth=0), number)


def _notes(line: Line, x: str) -> list[str]:
    notes = [f"{x} {at:,.10g}: {value:.5g}" for at, value in zip(line.x, line.y, strict=True)]
    if not len(line.low):
        return notes
    edges = zip(notes, line.low, line.high, strict=True)
    return [note if low is None or high is None else f"{note} ({low:.4g} to {high:.4g})" for note, low, high in edges]
