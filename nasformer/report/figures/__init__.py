"""Figures: one file each, drawn with Matplotlib's object interface and kept as ``Picture``."""

from nasformer.report.figures.anytime import draw_anytime
from nasformer.report.figures.architecture import draw_architecture, draw_network
from nasformer.report.figures.confusion import draw_confusion
from nasformer.report.figures.cost_scatter import draw_cost_scatter
from nasformer.report.figures.critical_difference import draw_critical_difference
from nasformer.report.figures.diagnosis import draw_diagnosis
from nasformer.report.figures.finalists import draw_finalists
from nasformer.report.figures.finals import draw_curse, draw_finals
from nasformer.report.figures.fronts import draw_fronts
from nasformer.report.figures.images_seen import draw_images_seen
from nasformer.report.figures.importance import draw_importance
from nasformer.report.figures.learning_curve import draw_learning_curve
from nasformer.report.figures.lines import Line, draw_lines
from nasformer.report.figures.picture import Picture
from nasformer.report.figures.progress import draw_progress
from nasformer.report.figures.time_spent import draw_time_spent

__all__ = [
    "Line",
    "Picture",
    "draw_anytime",
    "draw_architecture",
    "draw_confusion",
    "draw_cost_scatter",
    "draw_critical_difference",
    "draw_curse",
    "draw_diagnosis",
    "draw_finalists",
    "draw_finals",
    "draw_fronts",
    "draw_images_seen",
    "draw_importance",
    "draw_learning_curve",
    "draw_lines",
    "draw_network",
    "draw_progress",
    "draw_time_spent",
]
