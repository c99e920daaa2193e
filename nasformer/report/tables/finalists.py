"""Table of the winner and its baselines."""

from __future__ import annotations

from collections.abc import Sequence

from nasformer.report.finalist import Finalist
from nasformer.report.interval import interval, split_size
from nasformer.report.notation import MISSING, grouped
from nasformer.report.tables.table import Cell, JsonObject, Table, in_unit, number, without_empty
from nasformer.tasks import Metric


def finalists_table(metric: Metric, finalists: Sequence[Finalist], data: JsonObject | None) -> Table:
    """Return the winner and its baselines."""
    examples, title = split_size(data, "test"), metric.title
    header = ["", "parameters", "MACs", f"search {title}", f"test {title}", "95 % interval"]
    header += [f"test {title}, retrained", "95 % interval"]
    rows = []
    for finalist in finalists:
        cells = [finalist.label, number(finalist.params, grouped(finalist.params))]
        cells += [number(finalist.macs, grouped(finalist.macs))]
        cells += [in_unit(finalist.inherited.get("search"), metric)]
        for weights in (finalist.inherited, finalist.retrained):
            ends = interval(metric, {metric.name: weights.get("test")}, examples)
            cells += [in_unit(weights.get("test"), metric)]
            cells += [Cell(MISSING) if ends is None else Cell(str(ends), ends.low)]
        rows.append(cells)
    caption = (
        f"The winner and its baseline: {title} on the search and test splits with weights inherited from the "
        "supernet; retrained: trained from scratch. Test figures were computed after the selection and did not "
        "influence it. Intervals cover the sampling of test examples, not of trainings; the search figure of a winner "
        "is too good, because of the selection."
    )
    marked = next((index for index, finalist in enumerate(finalists) if finalist.chosen), None)
    return without_empty(Table("finalists", caption, header, rows, marked))
