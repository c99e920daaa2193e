"""Figures: one file each, drawn with Matplotlib's object interface and kept as ``Picture``."""

from nasformer.report.figures.architecture import draw_architecture
from nasformer.report.figures.best_so_far import draw_best_so_far
from nasformer.report.figures.cost_scatter import draw_cost_scatter
from nasformer.report.figures.images_seen import draw_images_seen
from nasformer.report.figures.importance import draw_importance
from nasformer.report.figures.learning_curve import draw_learning_curve
from nasformer.report.figures.picture import Picture
from nasformer.report.figures.time_spent import draw_time_spent

__all__ = [
    "Picture",
    "draw_architecture",
    "draw_best_so_far",
    "draw_cost_scatter",
    "draw_images_seen",
    "draw_importance",
    "draw_learning_curve",
    "draw_time_spent",
]
