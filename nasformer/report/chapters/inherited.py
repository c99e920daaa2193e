"""Chapters on inherited weights against retraining: ranking and gap."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import TYPE_CHECKING

from nasformer.report.chapters.chapter import (
    Chapter,
    JsonObject,
    Pieces,
    Series,
    between,
    called,
    drawn,
    finding,
    note,
    time_taken,
)
from nasformer.report.notation import counted, points
from nasformer.report.tables import diagnosis as tables
from nasformer.report.tables.diagnosis import written
from nasformer.space import SearchSpace
from nasformer.tasks import Metric

if TYPE_CHECKING:
    from nasformer.report.figures import Cloud, Row


def fidelity(pieces: Pieces, space: SearchSpace, series: Series, metric: Metric) -> Chapter:
    """Return the chapter on rank fidelity: inherited weights against retraining."""
    from nasformer.report.figures import draw_agreement

    piece = pieces["fidelity"]
    rows = piece["architectures"]
    tau = {(row["of"], row["against"]): row["kendall"] for row in piece["ranks"]}
    clouds = [_cloud(rows, key, tau.get((key, "retrained"))) for key in ("inherited", "finetuned")]
    words = f"{counted(len(rows), 'random architecture').capitalize()} were evaluated on {piece['images']:,} "
    words += "test examples with inherited weights and after retraining"
    found = tau.get(("inherited", "retrained"))
    words += f"; Kendall's τ between both rankings is {written(found)}." if found else "."
    scatter = []
    if piece.get("noise") is not None:
        deviation = piece["noise"]["deviation"]
        scatter = [
            f"Retraining one architecture for {counted(piece['noise']['epochs'], 'epoch')} with other seeds has a "
            f"standard deviation of {deviation:.{metric.digits}f}{points(metric)}: not even retraining ranks smaller "
            "differences reliably."
        ]
    epochs = ", ".join(f"{called(name)} for {counted(many, 'epoch')}" for name, many in piece["epochs"].items() if many)
    figure = draw_agreement(
        "fidelity",
        f"Retrained against inherited {metric.title}",
        f"Each point is an architecture ({epochs}), with Kendall's τ against retraining.",
        clouds,
        series,
        x=f"inherited or fine-tuned: test {metric.heading}",
        y=f"retrained: test {metric.heading}",
    )
    shown = [tables.ranks_table(piece), tables.fidelity_table(piece, metric)]
    return Chapter(
        "fidelity", "Rank fidelity of inherited weights", [words, *scatter, *time_taken(piece)], shown, drawn(figure)
    )


def _cloud(rows: Sequence[JsonObject], key: str, tau: JsonObject | None) -> Cloud:
    from nasformer.report.figures import Cloud

    known = [row for row in rows if row.get(key) is not None and row.get("retrained") is not None]
    remark = f"τ {tau['value']:.2f}" if tau and tau["value"] is not None else ""
    xs, ys = [row[key] for row in known], [row["retrained"] for row in known]
    return Cloud(called(key), xs, ys, [note(row) for row in known], remark)


def gap(pieces: Pieces, space: SearchSpace, series: Series, metric: Metric) -> Chapter:
    """Return the chapter on the gap of inherited weights."""
    from nasformer.report.figures import draw_dots

    piece, rows = pieces["gap"], pieces.get("fidelity", {}).get("architectures", ())
    levels = draw_dots(
        "levels",
        f"Test {metric.title} by origin of the weights",
        f"Test {metric.title} of every architecture, by origin of its weights.",
        [
            _dots(called(row["name"]), rows, methodcaller("get", row["name"]), row["mean"], metric)
            for row in piece["rows"]
        ],
        series,
        x=f"test {metric.heading}",
    )
    differences = draw_dots(
        "gap",
        f"Paired differences in {metric.title}",
        "Each dot is the difference of one architecture.",
        [
            _dots(between(row), rows, _minus(row["of"], row["minus"]), row["mean"], metric)
            for row in piece["differences"]
        ],
        series,
        x=f"difference in {metric.heading}",
        zero=True,
    )
    words = [f"{finding(row, metric)} of test {metric.title}." for row in piece["differences"]]
    return Chapter(
        "gap", "Gap of inherited weights", words, [tables.gap_table(piece, metric)], drawn(levels, differences)
    )


def _minus(of: str, minus: str) -> Callable[[JsonObject], float | None]:
    def difference(row: JsonObject) -> float | None:
        first, second = row.get(of), row.get(minus)
        return None if first is None or second is None else first - second

    return difference


def _dots(
    label: str,
    rows: Sequence[JsonObject],
    value: Callable[[JsonObject], float | None],
    mean: JsonObject,
    metric: Metric,
) -> Row:
    from nasformer.report.figures import Row

    known = [(told, row) for row in rows if (told := value(row)) is not None]
    notes = [f"{told:.{metric.digits}f}: {note(row)}" for told, row in known]
    return Row(label, [told for told, _ in known], notes, mean)
