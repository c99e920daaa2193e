"""Architecture: a network drawn layer by layer to scale, against the largest of its space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nasformer.architecture import Architecture
from nasformer.cost import Geometry
from nasformer.report.figures.picture import Picture, picture
from nasformer.report.notation import amount, cost_name, extent, sentence
from nasformer.report.palette import BAR, BLOCK, GRID, INK, MUTED
from nasformer.space import SearchSpace

_HEIGHT = 0.62
_ROW_INCHES = 0.27


def draw_architecture(space: SearchSpace, architecture: Architecture, name: str, title: str) -> Picture:
    """Return the drawing: a row per layer, heads as blocks, the MLP as a bar, outlines of the space's maximum."""
    return draw_network(space.geometry, architecture, space.costs(architecture), name, title, space.largest)


def draw_network(
    geometry: Geometry,
    architecture: Architecture,
    costs: Mapping[str, float],
    name: str,
    title: str,
    largest: Architecture | None = None,
) -> Picture:
    """Return the drawing of a network outside a space, outlined by another one if given."""
    sheet = _Sheet(geometry.of(architecture), architecture, largest or architecture)

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("none")
        sheet.draw(figure.add_axes((0, 0, 1, 1)))

    words = " and ".join(f"{amount(cost)} {cost_name(key)}" for key, cost in costs.items())
    height = _ROW_INCHES * (sheet.rows + 3) + 0.1
    return picture(name, f"{title}: {architecture}", f"{sentence(title)}: {words}.", paint, height=height)


class _Sheet:
    """Draws onto axes, in channels horizontally and rows vertically: titles, embedding, layers, head."""

    axes: Axes

    def __init__(self, geometry: Geometry, architecture: Architecture, largest: Architecture) -> None:
        self.geometry, self.architecture = geometry, architecture
        self.rows = max(largest.depth, architecture.depth)
        self.heads = max(*largest.num_heads, *architecture.num_heads)
        self.hidden = max(*largest.hidden_dims, *architecture.hidden_dims)
        self.embed = max(largest.embed_dim, architecture.embed_dim)
        attention = max(self.heads * geometry.head_dim, self.embed)
        self.unit = attention + self.hidden
        self.label = 0.17 * self.unit
        self.mlp = self.label + attention + 0.17 * self.unit

    def draw(self, axes: Axes) -> None:
        self.axes = axes
        names = ", ".join(f"{name} 1000" for name, _ in self.architecture.layers[0].further)
        axes.set_axis_off()
        axes.set_xlim(-0.02 * self.unit, self.mlp + self.hidden + (0.14 + 0.025 * len(names)) * self.unit)
        axes.set_ylim(self.rows + 2.5, -0.6)
        self._text(self.label, 0, "attention heads", muted=True)
        self._text(self.mlp, 0, "MLP width", muted=True)
        self._text(0, 1, "embed")
        self._bar(self.label, 1, self.architecture.embed_dim, self.embed, INK.light)
        self._text(self.mlp, 1, self._patches(), muted=True)
        for index in range(self.rows):
            self._layer(index, index + 2)
        self._text(0, self.rows + 2, "head")
        self._text(self.label, self.rows + 2, f"{self.geometry.num_classes:,} outputs", muted=True)

    def _patches(self) -> str:
        g, chosen = self.geometry, dict(self.architecture.network)
        stride = f" at stride {g.stride}" if g.stride else ""
        patches = f"patches of {extent(g.patch_size, g.axes)}{stride}"
        further = [f"{name} {value:g}" for name, value in chosen.items() if name not in ("image_size", "patch_size")]
        return ", ".join([*([f"{g.image_size} pixels"] if "image_size" in chosen else []), patches, *further])

    def _layer(self, index: int, row: int) -> None:
        """Draw a row; skipped branches are labelled, rows beyond the depth are outlines."""
        layer = self.architecture.layers[index] if index < self.architecture.depth else None
        self._text(0, row, f"{index + 1}", muted=layer is None)
        if layer is not None and not layer.num_heads:
            self._text(self.label, row, "skipped", muted=True)
        else:
            self._heads(row, layer.num_heads if layer else 0)
        if layer is not None and not layer.hidden_dim:
            self._text(self.mlp, row, "skipped", muted=True)
        else:
            self._bar(self.mlp, row, layer.hidden_dim if layer else 0, self.hidden, BAR.light)
        further = ", ".join(f"{name} {value:g}" for name, value in layer.further) if layer else ""
        self._text(self.mlp + self.hidden + 0.12 * self.unit, row, further, muted=True)

    def _heads(self, row: int, heads: int) -> None:
        width = self.geometry.head_dim
        for head in range(self.heads):
            self._box(self.label + head * width, row, 0.88 * width, BLOCK.light if head < heads else None)
        if heads:
            self._text(self.label + self.heads * width + 0.02 * self.unit, row, f"{heads}")

    def _bar(self, left: float, row: int, width: int, most: int, colour: str) -> None:
        self._box(left, row, most, None)
        if width:
            self._box(left, row, width, colour)
            self._text(left + most + 0.02 * self.unit, row, f"{width:,}")

    def _box(self, left: float, row: int, width: float, colour: str | None) -> None:
        look: dict[str, Any] = {"facecolor": colour or "none", "edgecolor": colour or GRID.light, "linewidth": 0.8}
        self.axes.add_patch(Rectangle((left, row - _HEIGHT / 2), width, _HEIGHT, **look))

    def _text(self, left: float, row: float, text: str, muted: bool = False) -> None:
        colour = MUTED.light if muted else INK.light
        self.axes.text(left, row, text, va="center", color=colour, parse_math=False)
