"""Inherited: what the supernet's weights say of architectures, beside what training alone says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import TYPE_CHECKING

from nasformer.report.chapters.chapter import (
    POINTS,
    Chapter,
    JsonObject,
    Pieces,
    Series,
    between,
    called,
    drawn,
    note,
    sentence,
    time_taken,
)
from nasformer.report.notation import counted
from nasformer.report.tables import diagnosis as tables
from nasformer.report.tables.diagnosis import written
from nasformer.space import SearchSpace

if TYPE_CHECKING:
    from nasformer.report.figures import Cloud, Row


def fidelity(pieces: Pieces, space: SearchSpace, series: Series) -> Chapter:
    """Return whether inherited weights rank as training alone does."""
    from nasformer.report.figures import draw_agreement

    piece = pieces["fidelity"]
    rows = piece["architectures"]
    tau = {(row["of"], row["against"]): row["kendall"] for row in piece["ranks"]}
    clouds = [_cloud(rows, key, tau.get((key, "retrained"))) for key in ("inherited", "finetuned")]
    words = (
        f"{counted(len(rows), 'architecture').capitalize()}, drawn and not chosen, were judged on {piece['images']:,} "
    )
    words += "test images with the supernet's weights and after training alone"
    found = tau.get(("inherited", "retrained"))
    words += f"; Kendall's τ between the two is {written(found)}." if found else "."
    scatter = []
    if piece.get("noise") is not None:
        scatter = [
            f"Training one architecture for {counted(piece['noise']['epochs'], 'epoch')} again with another seed moves "
            f"its accuracy by {piece['noise']['deviation']:.2f} {POINTS} (standard deviation): differences below that "
            "nothing can rank, not even retraining."
        ]
    epochs = ", ".join(f"{called(name)} for {counted(many, 'epoch')}" for name, many in piece["epochs"].items() if many)
    figure = draw_agreement(
        "fidelity",
        "Accuracy after training alone against accuracy before",
        f"Each point is an architecture ({epochs}), with Kendall's τ of each kind against retraining.",
        clouds,
        series,
        x="test accuracy with shared or fine-tuned weights, %",
        y="test accuracy, retrained, %",
    )
    shown = [tables.ranks_table(piece), tables.fidelity_table(piece)]
    return Chapter(
        "fidelity", "Do inherited weights rank?", [words, *scatter, *time_taken(piece)], shown, drawn(figure)
    )


def _cloud(rows: Sequence[JsonObject], key: str, tau: JsonObject | None) -> Cloud:
    from nasformer.report.figures import Cloud

    known = [row for row in rows if row.get(key) is not None and row.get("retrained") is not None]
    remark = f"τ {tau['value']:.2f}" if tau and tau["value"] is not None else ""
    xs, ys = [row[key] for row in known], [row["retrained"] for row in known]
    return Cloud(called(key), xs, ys, [note(row) for row in known], remark)


def gap(pieces: Pieces, space: SearchSpace, series: Series) -> Chapter:
    """Return what inheriting costs in accuracy."""
    from nasformer.report.figures import draw_dots

    piece, rows = pieces["gap"], pieces.get("fidelity", {}).get("architectures", ())
    levels = draw_dots(
        "levels",
        "Accuracy by where the weights come from",
        "Test accuracy of every architecture, by where its weights come from.",
        [_dots(called(row["name"]), rows, methodcaller("get", row["name"]), row["mean"]) for row in piece["rows"]],
        series,
        x="test accuracy, %",
    )
    differences = draw_dots(
        "gap",
        "Differences in accuracy, architecture by architecture",
        "Each dot is one architecture's own difference.",
        [_dots(between(row), rows, _minus(row["of"], row["minus"]), row["mean"]) for row in piece["differences"]],
        series,
        x=POINTS,
        zero=True,
    )
    words = [f"{sentence(between(row))}: {written(row['mean'], sign=True)} {POINTS}." for row in piece["differences"]]
    return Chapter("gap", "What inheriting costs", words, [tables.gap_table(piece)], drawn(levels, differences))


def _minus(of: str, minus: str) -> Callable[[JsonObject], float | None]:
    def difference(row: JsonObject) -> float | None:
        first, second = row.get(of), row.get(minus)
        return None if first is None or second is None else first - second

    return difference


def _dots(label: str, rows: Sequence[JsonObject], value: Callable[[JsonObject], float | None], mean: JsonObject) -> Row:
    from nasformer.report.figures import Row

    known = [(told, row) for row in rows if (told := value(row)) is not None]
    notes = [f"{told:.2f}: {note(row)}" for told, row in known]
    return Row(label, [told for told, _ in known], notes, mean)
