"""Agreement: two accuracies of the same architectures against each other, with the line on which they are equal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from nasformer.report.figures.picture import Picture, Trace, belongs, picture
from nasformer.report.figures.text import key_above
from nasformer.report.palette import MUTED, style


class Cloud(NamedTuple):
    """Points of one kind.

    Args:
        label: What they are; their colour is that of this name.
        x: First accuracy of each.
        y: Second accuracy of each.
        notes: What each is.
        remark: Said beside the label, such as a rank correlation.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    notes: Sequence[str]
    remark: str = ""


def draw_agreement(
    name: str, title: str, caption: str, clouds: Sequence[Cloud], series: Mapping[str, int], *, x: str, y: str
) -> Picture | None:
    """Return the scatter of the clouds that hold a point; None where none does."""
    shown = [cloud for cloud in clouds if len(cloud.x)]
    if not shown:
        return None

    def paint(figure: Figure) -> Iterator[Trace]:
        axes = figure.add_subplot()
        for cloud in shown:
            look = style(series[cloud.label])
            dots = axes.scatter(cloud.x, cloud.y, s=22, c=look.colour, marker=look.marker, alpha=0.75, linewidths=0)
            belongs(dots, series[cloud.label])
        _identity(axes)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        key_above(figure, [_entry(cloud, series[cloud.label]) for cloud in shown])
        for cloud in shown:
            yield Trace(axes, series[cloud.label], cloud.label, cloud.x, cloud.y, cloud.notes)

    return picture(name, title, f"{caption} On the dashed line the two are equal.", paint, height=3.6)


def _identity(axes: Axes) -> None:
    """Draw the line of equal values where it crosses what is shown; far from it, leave the axes to the points."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    span = max(right - left, high - low)
    if max(left, low) - min(right, high) < 2 * span:
        left, right = min(left, low), max(right, high)
        low, high = left, right
    axes.set_xlim(left, right)
    axes.set_ylim(low, high)
    axes.axline((left, left), slope=1, color=MUTED.light, linewidth=0.9, linestyle=(0, (4, 2)))


def _entry(cloud: Cloud, number: int) -> tuple[str, Line2D]:
    look = style(number)
    label = f"{cloud.label}, {cloud.remark}" if cloud.remark else cloud.label
    return label, Line2D([], [], linestyle="none", marker=look.marker, color=look.colour, markersize=5)
