"""Confusion matrix, normalised by row, with errors emphasised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from nasformer.report.figures.picture import Picture, Trace, picture
from nasformer.report.notation import shortened
from nasformer.report.palette import style
from nasformer.report.words import say

WIDE_FROM = 31
_WRITTEN_UP_TO = 12
_NAMED = 26
_LONGEST = 14
_MOST_NOTES = 3000


def draw_confusion(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Picture:
    """Return the confusion matrix: true classes in rows, predicted classes in columns.

    Args:
        confusion: Row i counts the images of class i by predicted class.
        classes: Class names.
    """
    number = len(classes)
    counts, right = np.asarray(confusion, dtype=np.int64).reshape(number, number), np.eye(number, dtype=bool)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    errors = np.where(right, 0, shares)
    shades = np.where(right, 0.1 + 0.4 * shares, 0.1 + 0.5 * np.sqrt(errors / (errors.max() or 1)))
    colours = np.where(right[..., None], to_rgb(style(0).colour), to_rgb(style(1).colour))
    every = 1 if number < WIDE_FROM else -(-number // _NAMED)

    def paint(figure: Figure) -> Iterator[Trace]:
        axes = figure.add_subplot()
        axes.imshow(np.dstack([colours, np.where(counts > 0, shades, 0)]), interpolation="nearest", zorder=1)
        if number <= _WRITTEN_UP_TO:
            for row, column in np.argwhere(counts):
                text = f"{counts[row, column]:,}"
                axes.text(column, row, text, ha="center", va="center_baseline", fontsize=8)
        _frame(axes, classes, every)
        images = counts.sum(axis=1)
        least = np.sort(counts, axis=None)[-_MOST_NOTES:][0]
        for row, name in enumerate(classes):
            mine = np.flatnonzero(counts[row] >= max(1, least)).tolist()
            notes = [
                f"{'correct' if column == row else f'predicted {classes[column]}'}: {counts[row, column]:,} of "
                f"{images[row]:,}, {100 * counts[row, column] / images[row]:.1f} %"
                for column in mine
            ]
            if mine:
                yield Trace(axes, None, name, mine, [row] * len(mine), notes)

    size = 4.8 if number < WIDE_FROM else 7.2
    caption = say("figure_confusion", classes=number, every=every)
    return picture("confusion", "Confusion matrix", caption, paint, width=size, height=size)


def _frame(axes: Axes, classes: Sequence[str], every: int) -> None:
    at = list(range(0, len(classes), every))
    names = [shortened(classes[index], _LONGEST) for index in at]
    size = 8.5 if len(classes) <= _WRITTEN_UP_TO else 7
    axes.set_xticks(at, names, parse_math=False, fontsize=size, rotation=90 if max(map(len, names)) > 2 else 0)
    axes.set_yticks(at, names, parse_math=False, fontsize=size)
    axes.grid(visible=every > 1)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
