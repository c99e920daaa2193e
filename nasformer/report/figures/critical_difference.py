"""Critical-difference diagram of average ranks; bars join what does not differ significantly (Demšar, JMLR 2006)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from nasformer.report.figures.picture import Picture, belongs, picture
from nasformer.report.figures.text import plain
from nasformer.report.palette import INK, style
from nasformer.report.tables.table import Series
from nasformer.report.words import say

if TYPE_CHECKING:
    from nasformer.report.statistics import Across


def draw_critical_difference(across: Across, series: Series) -> Picture:
    """Return the diagram: ranks on an axis, best left, names below on both sides."""
    import pandas as pd
    from scikit_posthocs import critical_difference_diagram

    labels = list(across.ranks)
    chances = pd.DataFrame(1.0, index=labels, columns=labels)
    if across.significant:
        chances = pd.DataFrame(across.p_values).loc[labels, labels]
    joined = bool((chances.to_numpy() > across.level).sum() > len(labels))

    def paint(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.grid(visible=False)
        drawn = critical_difference_diagram(
            across.ranks,
            chances,
            alpha=across.level,
            ax=axes,
            label_fmt_left="{label}",
            label_fmt_right="{label}",
            label_props={"parse_math": False},
            color_palette={label: style(series[label]).colour for label in labels},
            crossbar_props={"color": INK.light, "linewidth": 2.5},
            marker_props={"s": 14},
            elbow_props={"linewidth": 1.1},
            text_h_margin=0.06 * len(labels),
        )
        for text, *others in zip(drawn["labels"], drawn["elbows"], drawn["markers"], strict=True):
            label = text.get_text()
            text.set(text=f" {plain(label)}  {across.ranks[label]:.2f} ", color=INK.light)
            belongs([text, *others], series[label])
        axes.set_xticks(range(1, len(labels) + 1))

    caption = say("figure_critical_difference", across=across, joined=joined)
    height = 0.95 + 0.22 * ((len(labels) + 1) // 2) + 0.1 * len(labels)
    return picture("critical-difference", "Average ranks over tasks", caption, paint, width=7.2, height=height)
