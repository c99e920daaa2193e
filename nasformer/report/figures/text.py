"""Text in figures: names without markup, and direct labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from nasformer.report.figures.picture import belongs
from nasformer.report.notation import compact, shortened
from nasformer.report.palette import style

_LONGEST = 24
_LINE = 66  # characters that fit on a line of the key
_MARKER = 5
_PITCH_INCHES = 0.19


def plain(text: str) -> str:
    """Return a name short enough for a figure."""
    return shortened(text, _LONGEST)


def name_rows(axes: Axes, labels: Sequence[str], room: float = 0.55) -> None:
    """Name rows from the top down, with ``room`` above the first and below the last."""
    axes.set_yticks(range(len(labels)), [plain(label) for label in labels], parse_math=False)
    axes.set_ylim(len(labels) - 1 + room, -room)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def label_ends(axes: Axes, ends: Mapping[str, float], series: Mapping[str, int] | None = None) -> None:
    """Label curves at their right ends, without overlap; the y limits must be final.

    Args:
        axes: Axes of the curves.
        ends: Last y value by label.
        series: Number of each strategy, for the marker beside its label.
    """
    across = axes.transData - axes.transAxes
    places = {name: float(across.transform((1, height))[1]) for name, height in ends.items()}
    inches = axes.get_figure(root=True).get_figheight()  # type: ignore[union-attr]
    for name, height in spread(places, gap=_PITCH_INCHES / (0.8 * inches)).items():
        x = 1.02 if series is None else 1.105
        text = axes.text(x, height, plain(name), transform=axes.transAxes, va="center", parse_math=False)
        if series is not None:
            belongs([text, *_leader(axes, places[name], height, series[name])], series[name])


def _leader(axes: Axes, end: float, height: float, number: int) -> list[Line2D]:
    """Draw a leader line from the end of a curve to the marker of its label."""
    look = style(number)
    place: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    line = axes.plot((1.0, 1.03, 1.065), (end, height, height), color=look.colour, linewidth=0.6, alpha=0.6, **place)
    return line + axes.plot(1.08, height, look.marker, color=look.colour, markersize=4.2, **place)


def spread(heights: Mapping[str, float], gap: float) -> dict[str, float]:
    """Return heights in the same order, at least ``gap`` apart and, if possible, within [0, 1].

    >>> spread({"a": 0.5, "b": 0.5, "c": 1.0}, gap=0.25)
    {'a': 0.375, 'b': 0.625, 'c': 1.0}
    """
    clusters: list[tuple[list[str], float]] = []
    for name in sorted(heights, key=lambda key: heights[key]):
        clusters.append(([name], _inside(heights[name], 0.0)))
        while len(clusters) > 1 and _top(clusters[-2], gap) + gap > _bottom(clusters[-1], gap) + 1e-9:
            clusters[-2:] = [_merged(clusters[-2], clusters[-1], gap)]
    return {name: _bottom(cluster, gap) + gap * i for cluster in clusters for i, name in enumerate(cluster[0])}


def _merged(below: tuple[list[str], float], above: tuple[list[str], float], gap: float) -> tuple[list[str], float]:
    names = below[0] + above[0]
    centre = (len(below[0]) * below[1] + len(above[0]) * above[1]) / len(names)
    return names, _inside(centre, gap * (len(names) - 1) / 2)


def _inside(centre: float, half: float) -> float:
    return max(half, min(1 - half, centre)) if half <= 0.5 else 0.5


def _bottom(cluster: tuple[list[str], float], gap: float) -> float:
    return cluster[1] - gap * (len(cluster[0]) - 1) / 2


def _top(cluster: tuple[list[str], float], gap: float) -> float:
    return cluster[1] + gap * (len(cluster[0]) - 1) / 2


def key_above(figure: Figure, *blocks: Sequence[tuple[str, Line2D]]) -> None:
    """Draw a legend above the axes, each block on separate lines.

    Args:
        figure: The figure; its axes are laid out below.
        *blocks: Labels with their markers.
    """
    lines = [line for block in blocks for line in _lines(block)]
    pitch = _PITCH_INCHES / figure.get_figheight()
    for row, line in enumerate(lines, start=1):
        _key_line(figure, line, 1 - pitch * row)
    layout = figure.get_layout_engine()
    assert isinstance(layout, ConstrainedLayoutEngine)
    layout.set(rect=(0, 0, 1, 1 - pitch * len(lines)))


def _lines(block: Sequence[tuple[str, Line2D]]) -> list[list[tuple[str, Line2D]]]:
    longest = _LONGEST + 10 if len(block) < 3 else _LONGEST
    lines: list[list[tuple[str, Line2D]]] = []
    room = 0
    for name, marker in block:
        short = shortened(name, longest)
        if len(short) + _MARKER > room:
            lines.append([])
            room = _LINE
        lines[-1].append((short, marker))
        room -= len(short) + _MARKER
    return lines


def _key_line(figure: Figure, line: Sequence[tuple[str, Line2D]], height: float) -> None:
    legend = Legend(
        figure,
        [marker for _, marker in line],
        ["name"] * len(line),  # set below, since a legend omits labels that start with "_"
        loc="lower left",
        bbox_to_anchor=(0.07, height),
        bbox_transform=figure.transFigure,
        ncols=len(line),
        frameon=False,
        handletextpad=0.0,
        columnspacing=0.9,
        borderaxespad=0.0,
        borderpad=0.2,
    )
    for text, (name, _) in zip(legend.get_texts(), line, strict=True):
        text.set_text(name)
        text.set_parse_math(False)
    legend.set_in_layout(False)
    figure.add_artist(legend)


def compact_ticks(value: float, position: float) -> str:
    """Format a tick with three digits and an SI prefix."""
    return compact(value)
