"""Table of the winner and its baselines."""

from __future__ import annotations

from collections.abc import Sequence

from nasformer.report.accuracy import interval, split_size
from nasformer.report.finalist import Finalist
from nasformer.report.notation import MISSING, PERCENT, grouped
from nasformer.report.tables.table import Cell, JsonObject, Table, measured, number, without_empty


def finalists_table(finalists: Sequence[Finalist], data: JsonObject | None) -> Table:
    """Return the winner and its baselines."""
    images = split_size(data, "test")
    header = ["", "parameters", "MACs", "search accuracy", "test accuracy", "95 % interval"]
    header += ["test accuracy, retrained", "95 % interval"]
    rows = []
    for finalist in finalists:
        cells = [finalist.label, number(finalist.params, grouped(finalist.params))]
        cells += [number(finalist.macs, grouped(finalist.macs))]
        cells += [measured(finalist.inherited.get("search_accuracy"), PERCENT)]
        for weights in (finalist.inherited, finalist.retrained):
            accuracy = weights.get("test_accuracy")
            cells += [measured(accuracy, PERCENT), _interval(accuracy, images)]
        rows.append(cells)
    caption = (
        "The winner and its baseline. Search and test accuracy with weights inherited from the supernet; "
        "retrained: trained from scratch. Test accuracies were computed after the selection and did not influence it. "
        "Wilson intervals cover the sampling of test images, not of trainings; the search accuracy of a winner is "
        "biased upwards by selection."
    )
    marked = next((index for index, finalist in enumerate(finalists) if finalist.chosen), None)
    return without_empty(Table("finalists", caption, header, rows, marked))


def _interval(accuracy: float | None, images: int | None) -> Cell:
    if accuracy is None or images is None:
        return Cell(MISSING)
    ends = interval(accuracy, images)
    return Cell(str(ends), ends.low)
