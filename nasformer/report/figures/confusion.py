"""Confusion matrix, normalised by row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, PowerNorm, to_rgba
from matplotlib.figure import Figure

from nasformer.report.figures.picture import Picture, picture
from nasformer.report.notation import shortened
from nasformer.report.palette import INK, style
from nasformer.report.words import say

WIDE_FROM = 31
_WRITTEN_UP_TO = 12
_NAMED = 26
_LONGEST = 14


def draw_confusion(confusion: Sequence[Sequence[int]], classes: Sequence[str]) -> Picture:
    """Return the confusion matrix: true classes in rows, which count their images by predicted class."""
    from sklearn.metrics import ConfusionMatrixDisplay

    number, few = len(classes), len(classes) <= _WRITTEN_UP_TO
    counts = np.asarray(confusion, dtype=np.int64).reshape(number, number)
    colours = LinearSegmentedColormap.from_list("shares", [to_rgba(style(0).colour, alpha) for alpha in (0, 0.5)])
    every = 1 if number < WIDE_FROM else -(-number // _NAMED)

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        shown = ConfusionMatrixDisplay(counts).plot(
            ax=axes,
            include_values=few,
            values_format=",d",
            cmap=colours,
            colorbar=False,
            text_kw={"fontsize": 8, "color": INK.light},
        )
        for text in shown.text_.flat if few else ():
            text.set_visible(text.get_text() != "0")
        shown.im_.set_data(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))
        shown.im_.set_norm(PowerNorm(0.5, 0, 1))  # so that a rare error is seen
        at = list(range(0, number, every))
        names = [shortened(classes[index], _LONGEST) for index in at]
        size = 8.5 if few else 7
        axes.set_xticks(at, names, parse_math=False, fontsize=size, rotation=90 if max(map(len, names)) > 2 else 0)
        axes.set_yticks(at, names, parse_math=False, fontsize=size)
        axes.grid(visible=every > 1)
        axes.tick_params(length=0)
        axes.set(xlabel="predicted class", ylabel="true class")

    size = 4.8 if number < WIDE_FROM else 7.2
    caption = say("figure_confusion", classes=number, every=every)
    return picture("confusion", "Confusion matrix", caption, paint, width=size, height=size)
