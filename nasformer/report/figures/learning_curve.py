"""Learning curves of a supernet's smallest, centroid and largest subnet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from nasformer.report.figures.picture import Picture, picture
from nasformer.report.figures.text import label_ends
from nasformer.report.history import SUBNETS, followed, validations
from nasformer.report.palette import INK

_LINES = {"smallest": ":", "centroid": "--", "largest": "-"}


def draw_learning_curve(training: Mapping[str, Any]) -> Picture | None:
    """Return the curves; None if fewer than two epochs were validated."""
    rows, metric = validations(training), followed(training)
    if len(rows) < 2:
        return None

    def paint(figure: Figure) -> None:
        axes, ends = figure.add_subplot(), {}
        for name in SUBNETS:
            known = [(epoch, scores[name]) for epoch, scores in rows if name in scores]
            if known:
                axes.plot(*zip(*known, strict=True), linestyle=_LINES[name], color=INK.light, linewidth=1.3)
                ends[name] = known[-1][1]
        axes.set_xlim(left=0)
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"validation {metric.heading}")
        axes.set_ylim(*axes.get_ylim())
        label_ends(axes, ends)

    caption = f"Validation {metric.title} of three subnets, on the search split, which is not trained on."
    return picture("learning-curve", f"Validation {metric.title} of three subnets by epoch", caption, paint, height=2.6)
