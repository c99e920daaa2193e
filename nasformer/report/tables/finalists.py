"""Table of the trained winners and their rivals."""

from __future__ import annotations

from collections.abc import Sequence

from nasformer.report.finalist import Finalist
from nasformer.report.interval import interval, split_size
from nasformer.report.notation import MISSING, grouped
from nasformer.report.tables.table import Cell, JsonObject, Table, in_unit, number
from nasformer.tasks import Metric


def finalists_table(metric: Metric, finalists: Sequence[Finalist], data: JsonObject | None) -> Table:
    """Return the winners and their rivals, by budget."""
    examples, title = split_size(data, "test"), metric.title
    header = ["", "parameters", "MACs", f"test {title}, inherited", f"test {title}, trained", "95 % interval"]
    rows = []
    for finalist in finalists:
        ends = interval(metric, {metric.name: finalist.trained}, examples)
        rows.append(
            [
                f"{finalist.budget}: {finalist.kind}",
                number(finalist.params, grouped(finalist.params)),
                number(finalist.macs, grouped(finalist.macs)),
                in_unit(finalist.inherited, metric),
                in_unit(finalist.trained, metric),
                Cell(MISSING) if ends is None else Cell(str(ends), ends.low),
            ]
        )
    caption = (
        f"Test {title} with weights inherited from the supernet, and after the training of each network. Test images "
        "influenced no choice. Intervals cover the sampling of test examples, not of trainings."
    )
    return Table("finalists", caption, header, rows)
