"""Importance: bars of the importance of network dimensions, and of layer dimensions per layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasformer.dimension import kind_of
from nasformer.report.figures.picture import Picture, picture
from nasformer.report.palette import INK, style

_ROW_INCHES = 0.235


def draw_importance(shares: Mapping[str, float], caption: str) -> Picture:
    """Return importance by canonical parameter: network dimensions above, layer dimensions below, each to own scale."""
    network = {kind_of(name).title: share for name, share in shares.items() if "." not in name}
    layered = list(dict.fromkeys(name.partition(".")[0] for name in shares if "." in name))
    layers = sorted({int(name.partition(".")[2]) for name in shares if "." in name})
    rows, most = (len(network), len(layers) + 0.5), max([s for n, s in shares.items() if "." in n], default=1.0)

    def paint(figure: Figure) -> None:
        grid = figure.add_gridspec(2, max(1, len(layered)), height_ratios=[max(1, each) for each in rows])
        _bars(figure.add_subplot(grid[0, :]), list(network), list(network.values()), INK.light)
        for place, name in enumerate(layered):
            axes = figure.add_subplot(grid[1, place])
            values = [shares.get(f"{name}.{layer}", 0.0) for layer in layers]
            labels = [f"layer {layer + 1}" if place == 0 else "" for layer in layers]
            _bars(axes, labels, values, style(place).colour, most)
            axes.set_title(kind_of(name).title, loc="left", fontweight="bold", fontsize=9, color=style(place).colour)

    return picture("importance", "Importance", caption, paint, width=5.2, height=_ROW_INCHES * sum(rows) + 0.4)


def _bars(axes: Axes, labels: Sequence[str], values: Sequence[float], colour: str, most: float | None = None) -> None:
    """Draw bars with their percentages, and room for these on the right."""
    bars = axes.barh(range(len(values)), values, height=0.62, color=colour, linewidth=0)
    percent = [f"{100 * value:.1f} %" if value >= 0.0005 else "0" for value in values]
    axes.bar_label(bars, percent, padding=3, fontsize=8)
    axes.set_yticks(range(len(values)), labels, parse_math=False)
    axes.set_xlim(0, 1.35 * (most or max([*values, 1e-9])))
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.spines["bottom"].set_visible(False)
