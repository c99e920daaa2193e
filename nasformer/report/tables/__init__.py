"""Tables of the report, one file per kind."""

from nasformer.report.tables.finalists import finalists_table
from nasformer.report.tables.outcome import effort_table, fronts_table, metric_of, ranking_table, runs_table
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
from nasformer.report.tables.table import Cell, Table, as_cell, facts, flattened
from nasformer.report.tables.training_result import (
    classes_table,
    confusions_table,
    costs_table,
    origin_table,
    parts_table,
    recipe_table,
    scores_table,
)
from nasformer.report.tables.winners import winners_table

__all__ = [
    "Cell",
    "Table",
    "as_cell",
    "checklist_table",
    "classes_table",
    "confusions_table",
    "costs_table",
    "data_table",
    "effort_table",
    "facts",
    "finalists_table",
    "flattened",
    "fronts_table",
    "geometry_table",
    "leaderboard_table",
    "matrix_table",
    "metric_of",
    "origin_table",
    "pairs_table",
    "parts_table",
    "ranking_table",
    "recipe_table",
    "runs_table",
    "scores_table",
    "settings_table",
    "space_table",
    "tally_table",
    "task_table",
    "training_table",
    "versions_table",
    "winners_table",
]
