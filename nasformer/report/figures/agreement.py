"""Agreement: scatter plot of two values of the same architectures, with the identity line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nasformer.report.figures.picture import Picture, Trace, belongs, picture
from nasformer.report.figures.text import key_above
from nasformer.report.notation import shortened
from nasformer.report.palette import MUTED, style

_NEAR = 2.0
_LONGEST = 50
_EQUAL = {True: "Dashed: the identity line.", False: "The identity line is outside the plot."}


class Cloud(NamedTuple):
    """A series of points.

    Args:
        label: Label, which sets the colour.
        x: First value of each point.
        y: Second value of each point.
        notes: Tooltip of each point.
        remark: Remark beside the label, such as a rank correlation.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    notes: Sequence[str]
    remark: str = ""


def draw_agreement(
    name: str, title: str, caption: str, clouds: Sequence[Cloud], series: Mapping[str, int], *, x: str, y: str
) -> Picture | None:
    """Return the scatter plot of the non-empty clouds; None if all are empty."""
    shown = [cloud for cloud in clouds if len(cloud.x)]
    if not shown:
        return None
    equal = _near(shown)

    def paint(figure: Figure) -> Iterator[Trace]:
        axes = figure.add_subplot()
        for cloud in shown:
            look = style(series[cloud.label])
            dots = axes.scatter(cloud.x, cloud.y, s=22, c=look.colour, marker=look.marker, alpha=0.75, linewidths=0)
            belongs(dots, series[cloud.label])
        if equal:
            _identity(axes)
        axes.set_xlabel(shortened(x, _LONGEST), parse_math=False)
        axes.set_ylabel(shortened(y, _LONGEST), parse_math=False)
        if len(shown) > 1 or shown[0].remark:
            key_above(figure, [_entry(cloud, series[cloud.label]) for cloud in shown])
        for cloud in shown:
            yield Trace(axes, series[cloud.label], cloud.label, cloud.x, cloud.y, cloud.notes)

    return picture(name, title, f"{caption} {_EQUAL[equal]}", paint, height=3.6)


def _near(clouds: Sequence[Cloud]) -> bool:
    """Whether the identity line is close enough to the points to be shown."""
    xs, ys = [x for cloud in clouds for x in cloud.x], [y for cloud in clouds for y in cloud.y]
    span = max(max(xs) - min(xs), max(ys) - min(ys))
    return max(min(xs), min(ys)) - min(max(xs), max(ys)) <= _NEAR * span


def _identity(axes: Axes) -> None:
    ends = [*axes.get_xlim(), *axes.get_ylim()]
    axes.set_xlim(min(ends), max(ends))
    axes.set_ylim(min(ends), max(ends))
    axes.axline((min(ends), min(ends)), slope=1, color=MUTED.light, linewidth=0.9, linestyle=(0, (4, 2)))


def _entry(cloud: Cloud, number: int) -> tuple[str, Line2D]:
    look = style(number)
    label = f"{cloud.label}, {cloud.remark}" if cloud.remark else cloud.label
    return label, Line2D([], [], linestyle="none", marker=look.marker, color=look.colour, markersize=5)
