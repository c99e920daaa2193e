"""Critical-difference diagram of average ranks; bars join what does not differ significantly (Demšar, JMLR 2006)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasformer.report.figures.picture import Picture, Trace, belongs, picture
from nasformer.report.figures.text import plain
from nasformer.report.palette import GRID, INK, MUTED, style

if TYPE_CHECKING:
    from nasformer.report.statistics import Across

_ROW = 0.24
_BAR = 0.13


def draw_critical_difference(across: Across, series: Mapping[str, int]) -> Picture:
    """Return the diagram: ranks on an axis, best left, names below on both sides."""
    ranks = sorted(across.ranks.items(), key=lambda item: item[1])
    bars = [group for group in across.groups if len(group) > 1]
    depth = _BAR * (len(bars) + 1)
    height = 0.75 + depth + _ROW * ((len(ranks) + 1) // 2)

    def paint(figure: Figure) -> Iterator[Trace]:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0.31, 0, 0.38, 1))
        axes.set_axis_off()
        axes.set_xlim(0.8, len(ranks) + 0.2)
        axes.set_ylim(height - 0.62, -0.62)
        _scale(axes, len(ranks), across.critical_difference)
        for row, group in enumerate(bars):
            ends = [across.ranks[label] for label in group]
            at = _BAR * (row + 1)
            axes.plot([min(ends) - 0.05, max(ends) + 0.05], [at, at], color=INK.light, linewidth=3)
        for place, (label, rank) in enumerate(ranks):
            left = place < (len(ranks) + 1) // 2
            row = place if left else len(ranks) - 1 - place
            _name(axes, label, rank, depth + _ROW * (row + 0.5), left, series[label], len(ranks))
        for label, rank in ranks:
            yield Trace(axes, series[label], label, [rank], [0.0], [f"average rank {rank:.2f}"])

    bar = "Bars join strategies not significantly different (Nemenyi)" if bars else "All ranks differ significantly"
    span = (
        "" if across.critical_difference is None else f"; the critical difference is {across.critical_difference:.2f}"
    )
    caption = f"Average rank over {len(across.tasks)} tasks, 1 is best. {bar}{span}."
    return picture("critical-difference", "Average ranks over tasks", caption, paint, width=7.2, height=height)


def _scale(axes: Axes, count: int, critical: float | None) -> None:
    axes.plot([1, count], [0, 0], color=MUTED.light, linewidth=0.9)
    for rank in range(1, count + 1):
        axes.plot([rank, rank], [0, -0.06], color=MUTED.light, linewidth=0.9)
        axes.text(rank, -0.1, str(rank), ha="center", va="bottom", color=INK.light)
    if critical is not None and 1 + critical <= count:
        end = 1 + critical
        axes.plot([1, end], [-0.38, -0.38], color=INK.light, linewidth=1.2, marker="|", markersize=5)
        axes.text((1 + end) / 2, -0.41, f"critical difference {critical:.2f}", ha="center", va="bottom", fontsize=8.5)


def _name(axes: Axes, label: str, rank: float, y: float, left: bool, number: int, count: int) -> None:
    edge, align = (0.72, "right") if left else (count + 0.28, "left")
    look = style(number)
    line = axes.plot([rank, rank, edge], [0, y, y], color=GRID.light, linewidth=1.1, zorder=0, clip_on=False)
    dot = axes.plot(rank, 0, "o", color=INK.light, markersize=3.5, zorder=4)
    shift = -0.02 * count if left else 0.02 * count
    end = axes.plot(edge, y, look.marker, color=look.colour, markersize=4.5, clip_on=False)
    text = axes.text(edge + shift, y, f"{plain(label)}  {rank:.2f}", ha=align, va="center", parse_math=False)
    belongs([*line, *dot, *end, text], number)
