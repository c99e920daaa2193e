"""Figures, drawn with Matplotlib's object interface and kept as ``Picture``."""

from nasformer.report.figures.architecture import draw_architecture as draw_architecture
from nasformer.report.figures.architecture import draw_network as draw_network
from nasformer.report.figures.comparison import draw_anytime as draw_anytime
from nasformer.report.figures.comparison import draw_critical_difference as draw_critical_difference
from nasformer.report.figures.comparison import draw_curse as draw_curse
from nasformer.report.figures.comparison import draw_finals as draw_finals
from nasformer.report.figures.comparison import draw_fronts as draw_fronts
from nasformer.report.figures.confusion import draw_confusion as draw_confusion
from nasformer.report.figures.importance import draw_importance as draw_importance
from nasformer.report.figures.lines import Line as Line
from nasformer.report.figures.lines import draw_lines as draw_lines
from nasformer.report.figures.picture import Picture as Picture
from nasformer.report.figures.progress import draw_learning_curve as draw_learning_curve
from nasformer.report.figures.progress import draw_progress as draw_progress
from nasformer.report.figures.rows import Row as Row
from nasformer.report.figures.rows import draw_rows as draw_rows
from nasformer.report.figures.scatter import Cloud as Cloud
from nasformer.report.figures.scatter import draw_agreement as draw_agreement
from nasformer.report.figures.scatter import draw_cost_scatter as draw_cost_scatter
from nasformer.report.figures.scatter import draw_images_seen as draw_images_seen
