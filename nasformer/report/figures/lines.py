"""Line plot with a key beside it and optional error bands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from nasformer.report.figures.picture import Picture, belongs, entry, key, picture
from nasformer.report.palette import MUTED, style

_MARKED_UP_TO = 12
_APART, _SHIFT = 0.14, 0.02  # of the axes, between the markers of a longer curve, and of one curve and the next


class Line(NamedTuple):
    """A curve with its label, which sets the colour, and the edges of its band; empty: no band."""

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
    least: int = 2,
    mark: float | None = None,
    frame: Callable[[Axes], None] | None = None,
) -> Picture | None:
    """Return the curves with at least so many points; None if there are none.

    ``mark`` is where a dashed vertical line is drawn; ``frame`` sets the limits of the axes, else x starts at zero, or
    is as Matplotlib has it if logarithmic.
    """
    shown = [line for line in lines if len(line.x) >= least]
    if not shown:
        return None

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for turn, line in enumerate(shown):
            _draw(axes, line, series[line.label], steps, turn, clipped=frame is not None)
        if mark is not None:
            axes.axvline(mark, color=MUTED.light, linewidth=1, linestyle=(0, (4, 2)))
        if log:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_formatter(NullFormatter())
        if log or frame:
            axes.xaxis.set_major_formatter(EngFormatter())
        else:
            axes.set_xlim(left=0)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if frame:
            frame(axes)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        if len(shown) > 1:
            key(
                figure,
                [_entry(line.label, series) for line in sorted(shown, key=lambda line: -line.y[-1])],
                beside=True,
            )

    return picture(name, title, caption, paint, height=height)


def _entry(label: str, series: Mapping[str, int]) -> Any:
    return entry(label, series[label], linestyle=style(series[label]).line, linewidth=1.4)


def _draw(axes: Axes, line: Line, number: int, steps: bool, turn: int, clipped: bool) -> None:
    look = style(number)
    options: dict[str, Any] = {"color": look.colour, "linestyle": look.line, "linewidth": 1.5, "markersize": 3.8}
    options |= {"marker": look.marker, "clip_on": clipped, "drawstyle": "steps-post" if steps else "default"}
    if len(line.x) > _MARKED_UP_TO:
        options["markevery"] = (_SHIFT * turn % _APART, _APART)
    belongs(axes.plot(line.x, line.y, **options), number)
    if len(line.low):
        low, high = (np.array(edge, dtype=float) for edge in (line.low, line.high))
        step: Any = "post" if steps else None
        belongs(axes.fill_between(line.x, low, high, step=step, color=look.colour, alpha=0.11, linewidth=0), number)
