"""Importance: bars of the importance of network dimensions, and of layer dimensions per layer."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasformer.dimension import kind_of
from nasformer.report.figures.picture import Picture, picture
from nasformer.report.palette import GRID, INK, MUTED, style

_ROW_INCHES = 0.235


def draw_importance(shares: Mapping[str, float], caption: str) -> Picture:
    """Return the figure: network dimensions above, layer dimensions below, each to its own scale.

    Args:
        shares: Importance by canonical parameter.
        caption: Caption.
    """
    network = {kind_of(name).title: share for name, share in shares.items() if "." not in name}
    layered = dict.fromkeys(name.partition(".")[0] for name in shares if "." in name)
    layers = sorted({int(name.partition(".")[2]) for name in shares if "." in name})
    rows = len(network) + len(layers) + 1.5

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        most = max([*network.values(), 1e-9])
        for row, (label, share) in enumerate(network.items()):
            _bar(axes, row, share, most, INK.light)
            _name(axes, row, label)
        most = max([share for name, share in shares.items() if "." in name] or [1.0]) or 1.0
        for index, name in enumerate(layered):
            column = (index, len(layered))
            _heading(axes, len(network) + 0.75, column, kind_of(name).title)
            for row, layer in enumerate(layers):
                share = shares.get(f"{name}.{layer}", 0.0)
                _bar(axes, len(network) + 1.5 + row, share, most, style(index).colour, column)
        for row, layer in enumerate(layers):
            _name(axes, len(network) + 1.5 + row, f"layer {layer + 1}")
        _finish(axes, rows)

    return picture("importance", "Importance", caption, paint, width=5.2, height=_ROW_INCHES * rows + 0.2)


_GAP = 0.08
"""Gap between columns, relative to the row width."""
_ALL = (0, 1)
"""The single column of network dimensions."""


def _bar(axes: Axes, row: float, share: float, most: float, colour: str, column: tuple[int, int] = _ALL) -> None:
    """Draw a bar and its percentage in column ``column[0]`` of ``column[1]``, all to one scale."""
    left = _left(column)
    scale = ((1 + _GAP) / max(column[1], 2) - _GAP) * 0.72 / most
    axes.barh(row, share * scale, left=left, height=0.62, color=colour, linewidth=0)
    axes.plot([left, left], [row - 0.36, row + 0.36], color=GRID.light, linewidth=0.8, zorder=0)
    percent = f"{100 * share:.1f} %" if share >= 0.0005 else "0"
    axes.text(left + share * scale + 0.012, row, percent, va="center", color=MUTED.light, fontsize=8)


def _left(column: tuple[int, int]) -> float:
    return column[0] * (1 + _GAP) / column[1]


def _name(axes: Axes, row: float, text: str) -> None:
    axes.text(-0.02, row, text, va="center", ha="right")


def _heading(axes: Axes, row: float, column: tuple[int, int], text: str) -> None:
    axes.text(_left(column), row, text, va="center", color=style(column[0]).colour, fontweight="bold")


def _finish(axes: Axes, rows: float) -> None:
    axes.set_axis_off()
    axes.set_xlim(-0.32, 1.02)
    axes.set_ylim(rows - 0.4, -0.6)
