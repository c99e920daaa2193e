"""Scatter plots: clouds of points with a key above."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasformer.report.figures.picture import Entry, Picture, belongs, entry, key, picture
from nasformer.report.notation import shortened
from nasformer.report.palette import MUTED, style

_NEAR = 2.0
_LONGEST = 50
_LARGE_UP_TO, _VECTOR_UP_TO = 200, 4000


class Cloud(NamedTuple):
    """A series of points."""

    label: str  # sets the colour
    x: Sequence[float]
    y: Sequence[float]
    remark: str = ""  # beside the label, such as a rank correlation
    hollow: bool = False  # whether the markers are open, and not in the key


def draw_clouds(
    name: str,
    title: str,
    caption: str,
    clouds: Sequence[Cloud],
    series: Mapping[str, int],
    *,
    x: str,
    y: str,
    frame: Callable[[Axes], Sequence[Entry]] = lambda axes: (),
) -> Picture | None:
    """Return the scatter plot of the non-empty clouds; None if all are empty.

    ``frame`` draws more onto the axes, and returns further entries of the key.
    """
    shown = [cloud for cloud in clouds if len(cloud.x)]
    count = sum(len(cloud.x) for cloud in shown)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        for cloud in shown:
            look = style(series[cloud.label])
            dots = axes.scatter(
                cloud.x,
                cloud.y,
                s=20 if count <= _LARGE_UP_TO else 9,
                facecolor="none" if cloud.hollow else look.colour,
                edgecolor=look.colour,
                marker=look.marker,
                alpha=0.6,
                linewidths=0.7 if cloud.hollow else 0,
                rasterized=count > _VECTOR_UP_TO,
            )
            belongs(dots, series[cloud.label])
        more = frame(axes)
        axes.set_xlabel(shortened(x, _LONGEST), parse_math=False)
        axes.set_ylabel(shortened(y, _LONGEST), parse_math=False)
        named = [(cloud, f"{cloud.label}, {cloud.remark}" if cloud.remark else cloud.label) for cloud in shown]
        entries = [entry(label, series[cloud.label]) for cloud, label in named if not cloud.hollow]
        if more or len(entries) > 1 or any(cloud.remark for cloud in shown):
            key(figure, [*entries, *more])

    return picture(name, title, caption, paint, height=3.4) if shown else None


def draw_agreement(
    name: str, title: str, caption: str, clouds: Sequence[Cloud], series: Mapping[str, int], *, x: str, y: str
) -> Picture | None:
    """Return two values of the same architectures, with the identity line if it is close enough to the points."""
    xs, ys = [x for cloud in clouds for x in cloud.x], [y for cloud in clouds for y in cloud.y]
    span = max(max(xs) - min(xs), max(ys) - min(ys))
    near = max(min(xs), min(ys)) - min(max(xs), max(ys)) <= _NEAR * span

    def identity(axes: Axes) -> Sequence[Entry]:
        ends = [*axes.get_xlim(), *axes.get_ylim()]
        if near:
            axes.set_xlim(min(ends), max(ends))
            axes.set_ylim(min(ends), max(ends))
            axes.axline((min(ends), min(ends)), slope=1, color=MUTED.light, linewidth=0.9, linestyle=(0, (4, 2)))
        return ()

    where = "Dashed: the identity line." if near else "The identity line is outside the plot."
    return draw_clouds(name, title, f"{caption} {where}", clouds, series, x=x, y=y, frame=identity)
