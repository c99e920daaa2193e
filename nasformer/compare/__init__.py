"""Comparisons: strategies × tasks × seeds, run as resumable studies and told as tidy tables."""

from nasformer.compare.comparison import Comparison, Entrant, TaskRecord
from nasformer.compare.results import from_results
from nasformer.compare.tables import cell_row, cell_table, trial_columns, trial_table

__all__ = [
    "Comparison",
    "Entrant",
    "TaskRecord",
    "cell_row",
    "cell_table",
    "from_results",
    "trial_columns",
    "trial_table",
]
