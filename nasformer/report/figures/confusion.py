"""Confusion matrix, normalised by row, with errors emphasised."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from numpy.typing import NDArray

from nasformer.report.figures.picture import Picture, Trace, picture
from nasformer.report.notation import shortened
from nasformer.report.palette import style

Counts = NDArray[np.int64]
Cell = tuple[int, int]
WIDE_FROM = 31
_WRITTEN_UP_TO = 12
_NAMED = 26
_LONGEST = 14
_MOST_CELLS = 3000
_STEPS = 8
_SQUARE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.0, 0.0))
_CODES = (Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY)


def draw_confusion(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Picture:
    """Return the confusion matrix: true classes in rows, predicted classes in columns.

    Args:
        confusion: Row i counts the images of class i by predicted class.
        classes: Class names.
    """
    counts = np.asarray(confusion, dtype=np.int64).reshape(len(classes), len(classes))
    cells = _cells(counts)

    def paint(figure: Figure) -> Iterator[Trace]:
        axes = figure.add_subplot()
        axes.set_aspect("equal")
        for (colour, alpha), members in _shades(counts, cells).items():
            _fill(axes, members, colour, alpha)
        if len(classes) <= _WRITTEN_UP_TO:
            for row, column in cells:
                text = f"{counts[row, column]:,}"
                axes.text(column, row, text, ha="center", va="center_baseline", fontsize=8)
        _frame(axes, classes)
        yield from _traces(axes, counts, cells, classes)

    size = 4.8 if len(classes) < WIDE_FROM else 7.2
    title, caption = "Confusion matrix", _caption(counts, cells)
    return picture("confusion", title, caption, paint, width=size, height=size)


def _caption(counts: Counts, cells: Sequence[Cell]) -> str:
    text = (
        "Confusion matrix of the test images: true class in rows, predicted class in columns. The intensity of a cell "
        "is its share of the row's images; errors have their own scale."
    )
    every = _every(len(counts))
    if every > 1:
        text += f" One in {every} of {len(counts):,} classes is labelled; hover over a cell for its classes."
    left = int((counts > 0).sum()) - len(cells)
    return f"{text} The {left:,} cells with the fewest images are omitted." if left else text


def _cells(counts: Counts) -> list[Cell]:
    """Return the non-zero cells by row; if too many, those with the most images."""
    rows, columns = np.nonzero(counts)
    most = np.argsort(-counts[rows, columns], kind="stable")[:_MOST_CELLS]
    return sorted(zip(rows[most].tolist(), columns[most].tolist(), strict=True))


def _shades(counts: Counts, cells: Sequence[Cell]) -> dict[tuple[str, float], list[Cell]]:
    """Return the cells by colour and quantised opacity, so that each level is one shape."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    largest = float((shares * ~np.eye(len(counts), dtype=bool)).max()) or 1.0
    found: dict[tuple[str, float], list[Cell]] = defaultdict(list)
    for cell in cells:
        if cell[0] == cell[1]:
            shade = style(0).colour, 0.1 + 0.4 * _step(float(shares[cell]))
        else:
            shade = style(1).colour, 0.1 + 0.5 * _step(float(shares[cell] / largest) ** 0.5)
        found[shade].append(cell)
    return found


def _step(share: float) -> float:
    return round(share * _STEPS) / _STEPS


def _fill(axes: Axes, cells: Sequence[Cell], colour: str, alpha: float) -> None:
    corners = np.array([(column - 0.5, row - 0.5) for row, column in cells])
    vertices = (corners[:, None, :] + np.array(_SQUARE)[None, :, :]).reshape(-1, 2)
    shape = Path(vertices, list(_CODES) * len(cells))
    axes.add_patch(PathPatch(shape, facecolor=colour, alpha=alpha, linewidth=0))


def _frame(axes: Axes, classes: Sequence[str]) -> None:
    number = len(classes)
    at = list(range(0, number, _every(number)))
    names = [shortened(classes[index], _LONGEST) for index in at]
    rotation = 90 if max(map(len, names)) > 2 else 0
    size = 8.5 if number <= _WRITTEN_UP_TO else 7
    axes.set_xticks(at, names, parse_math=False, fontsize=size, rotation=rotation)
    axes.set_yticks(at, names, parse_math=False, fontsize=size)
    axes.set_xlim(-0.5, number - 0.5)
    axes.set_ylim(number - 0.5, -0.5)
    axes.grid(visible=number >= WIDE_FROM)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")


def _every(number: int) -> int:
    return 1 if number < WIDE_FROM else -(-number // _NAMED)


def _traces(axes: Axes, counts: Counts, cells: Sequence[Cell], classes: Sequence[str]) -> Iterator[Trace]:
    images = counts.sum(axis=1)
    for row, name in enumerate(classes):
        mine = [column for at, column in cells if at == row]
        notes = [
            f"{'correct' if column == row else f'predicted {classes[column]}'}: {counts[row, column]:,} of "
            f"{images[row]:,}, {100 * counts[row, column] / images[row]:.1f} %"
            for column in mine
        ]
        if mine:
            yield Trace(axes, None, name, mine, [row] * len(mine), notes)
