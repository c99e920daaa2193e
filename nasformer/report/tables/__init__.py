"""Tables: what the page lists, one file for each kind."""

from nasformer.report.tables.finalists import finalists_table
from nasformer.report.tables.outcome import effort_table, fronts_table, measure_of, ranking_table, runs_table
from nasformer.report.tables.pairs import leaderboard_table, matrix_table, pairs_table, tally_table
from nasformer.report.tables.record import (
    checklist_table,
    data_table,
    geometry_table,
    settings_table,
    space_table,
    task_table,
    training_table,
    versions_table,
)
from nasformer.report.tables.table import Cell, Table, as_cell

__all__ = [
    "Cell",
    "Table",
    "as_cell",
    "checklist_table",
    "data_table",
    "effort_table",
    "finalists_table",
    "fronts_table",
    "geometry_table",
    "leaderboard_table",
    "matrix_table",
    "measure_of",
    "pairs_table",
    "ranking_table",
    "runs_table",
    "settings_table",
    "space_table",
    "tally_table",
    "task_table",
    "training_table",
    "versions_table",
]
