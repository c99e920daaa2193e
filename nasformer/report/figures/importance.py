"""Importance: which dimensions and layers decide the value, as bars beside a row for each layer."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasformer.report.figures.picture import Picture, picture
from nasformer.report.palette import GRID, INK, MUTED, style

_LAYERED = {"num_heads": "attention heads", "mlp_ratio": "MLP ratio"}
_WHOLE = {"embed_dim": "embedding width", "depth": "depth"}
_ROW_INCHES = 0.235


def draw_importance(shares: Mapping[str, float], caption: str) -> Picture:
    """Return the figure: the whole network's dimensions above, each layer's below, both to a scale of their own.

    Args:
        shares: By canonical parameter.
        caption: What it shows.
    """
    whole = {label: shares[name] for name, label in _WHOLE.items() if name in shares}
    layers = sorted({int(name.partition(".")[2]) for name in shares if "." in name})
    rows = len(whole) + len(layers) + 1.5

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        most = max([*whole.values(), 1e-9])
        for row, (label, share) in enumerate(whole.items()):
            _bar(axes, row, share, most, INK.light)
            _name(axes, row, label)
        most = max([share for name, share in shares.items() if "." in name] or [1.0]) or 1.0
        for index, (name, label) in enumerate(_LAYERED.items()):
            _heading(axes, len(whole) + 0.75, index, label)
            for row, layer in enumerate(layers):
                share = shares.get(f"{name}.{layer}", 0.0)
                _bar(axes, len(whole) + 1.5 + row, share, most, style(index).colour, index)
        for row, layer in enumerate(layers):
            _name(axes, len(whole) + 1.5 + row, f"layer {layer + 1}")
        _finish(axes, rows)

    return picture("importance", "Importance", caption, paint, width=5.2, height=_ROW_INCHES * rows + 0.2)


_HALF = 0.46
"""Width of each layer's half, of a row that is 1 wide."""


def _bar(axes: Axes, row: float, share: float, most: float, colour: str, half: int | None = None) -> None:
    """Draw a bar and its percentage; in the left or right half, to the same scale."""
    left = 0.54 * half if half else 0.0
    scale = _HALF * 0.72 / most
    axes.barh(row, share * scale, left=left, height=0.62, color=colour, linewidth=0)
    axes.plot([left, left], [row - 0.36, row + 0.36], color=GRID.light, linewidth=0.8, zorder=0)
    percent = f"{100 * share:.1f} %" if share >= 0.0005 else "0"
    axes.text(left + share * scale + 0.012, row, percent, va="center", color=MUTED.light, fontsize=8)


def _name(axes: Axes, row: float, text: str) -> None:
    axes.text(-0.02, row, text, va="center", ha="right")


def _heading(axes: Axes, row: float, half: int, text: str) -> None:
    axes.text(0.54 * half, row, text, va="center", color=style(half).colour, fontweight="bold")


def _finish(axes: Axes, rows: float) -> None:
    axes.set_axis_off()
    axes.set_xlim(-0.32, 1.02)
    axes.set_ylim(rows - 0.4, -0.6)
