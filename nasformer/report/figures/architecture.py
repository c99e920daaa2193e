"""Architecture: a network drawn layer by layer to scale, against the largest of its space."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nasformer.architecture import Architecture
from nasformer.cost import Geometry
from nasformer.report.figures.picture import Picture, picture
from nasformer.report.notation import amount, cost_name, extent
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
    largest = architecture if largest is None else largest
    sheet = _Sheet(geometry.of(architecture), architecture, largest)

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("none")
        sheet.draw(figure.add_axes((0, 0, 1, 1)))

    words = " and ".join(f"{amount(cost)} {cost_name(key)}" for key, cost in costs.items())
    caption = f"{title[:1].upper()}{title[1:]}: {words}."
    return picture(name, f"{title}: {architecture}", caption, paint, height=_ROW_INCHES * (sheet.rows + 3) + 0.1)


class _Sheet:
    """Draws onto axes, in channels horizontally and rows vertically: titles, embedding, layers, head."""

    axes: Axes

    def __init__(self, geometry: Geometry, architecture: Architecture, largest: Architecture) -> None:
        self.geometry, self.architecture = geometry, architecture
        self.rows = max(largest.depth, architecture.depth)
        self.most_heads = max(*largest.num_heads, *architecture.num_heads)
        self.most_hidden = max(*largest.hidden_dims, *architecture.hidden_dims)
        self.most_embed = max(largest.embed_dim, architecture.embed_dim)
        attention = max(self.most_heads * self.geometry.head_dim, self.most_embed)
        self.unit = attention + self.most_hidden
        self.label = 0.17 * self.unit
        self.mlp = self.label + attention + 0.17 * self.unit
        names = [f"{name} 1000" for name, _ in architecture.layers[0].further]
        self.right = self.mlp + self.most_hidden + (0.14 + 0.025 * len(", ".join(names))) * self.unit

    def draw(self, axes: Axes) -> None:
        self.axes = axes
        self.axes.set_axis_off()
        self.axes.set_xlim(-0.02 * self.unit, self.right)
        self.axes.set_ylim(self.rows + 2.5, -0.6)
        self._text(self.label, 0, "attention heads", muted=True)
        self._text(self.mlp, 0, "MLP width", muted=True)
        self._text(0, 1, "embed")
        self._bar(self.label, 1, self.architecture.embed_dim, self.most_embed, INK.light)
        self._text(self.mlp, 1, self._patches(), muted=True)
        for layer in range(self.rows):
            self._layer(layer)
        self._text(0, self.rows + 2, "head")
        self._text(self.label, self.rows + 2, f"{self.geometry.num_classes:,} outputs", muted=True)

    def _patches(self) -> str:
        g, chosen = self.geometry, dict(self.architecture.network)
        stride = f" at stride {g.stride}" if g.stride else ""
        patches = f"patches of {extent(g.patch_size, g.axes)}{stride}"
        further = [f"{name} {value:g}" for name, value in chosen.items() if name not in ("image_size", "patch_size")]
        return ", ".join([*([f"{g.image_size} pixels"] if "image_size" in chosen else []), patches, *further])

    def _layer(self, index: int) -> None:
        """Draw a row; skipped branches are labelled, rows beyond the depth are outlines."""
        row, layer = index + 2, None
        if index < self.architecture.depth:
            layer = self.architecture.layers[index]
        self._text(0, row, f"{index + 1}", muted=layer is None)
        if layer is not None and not layer.num_heads:
            self._text(self.label, row, "skipped", muted=True)
        else:
            self._heads(row, layer.num_heads if layer else 0)
        if layer is not None and not layer.hidden_dim:
            self._text(self.mlp, row, "skipped", muted=True)
        else:
            self._bar(self.mlp, row, layer.hidden_dim if layer else 0, self.most_hidden, BAR.light)
        further = ", ".join(f"{name} {value:g}" for name, value in layer.further) if layer else ""
        self._text(self.mlp + self.most_hidden + 0.12 * self.unit, row, further, muted=True)

    def _heads(self, row: int, heads: int) -> None:
        for head in range(self.most_heads):
            self._block(head, row, head < heads)
        if heads:
            self._text(self.label + self.most_heads * self.geometry.head_dim + 0.02 * self.unit, row, f"{heads}")

    def _block(self, head: int, row: int, present: bool) -> None:
        width = self.geometry.head_dim
        self._box(self.label + head * width, row, 0.88 * width, BLOCK.light if present else None)

    def _bar(self, left: float, row: int, width: int, most: int, colour: str) -> None:
        self._box(left, row, most, None)
        if width:
            self._box(left, row, width, colour)
            self._text(left + most + 0.02 * self.unit, row, f"{width:,}")

    def _box(self, left: float, row: int, width: float, colour: str | None) -> None:
        self.axes.add_patch(
            Rectangle(
                (left, row - _HEIGHT / 2),
                width,
                _HEIGHT,
                facecolor=colour or "none",
                edgecolor=colour or GRID.light,
                linewidth=0.8,
            )
        )

    def _text(self, left: float, row: float, text: str, muted: bool = False) -> None:
        colour = MUTED.light if muted else INK.light
        self.axes.text(left, row, text, va="center", color=colour, parse_math=False)
