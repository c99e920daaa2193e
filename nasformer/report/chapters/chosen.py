"""Chapters on the number of search images and on the winner's curse."""

from __future__ import annotations

from nasformer.report.chapters.chapter import (
    Chapter,
    JsonObject,
    Pieces,
    Series,
    drawn,
    time_taken,
)
from nasformer.report.notation import points, sentence
from nasformer.report.tables import diagnosis as tables
from nasformer.report.tables.diagnosis import ranked_by, written
from nasformer.space import SearchSpace
from nasformer.tasks import Metric

_AGREE = 0.8


def images(pieces: Pieces, space: SearchSpace, series: Series, metric: Metric) -> Chapter:
    """Return the chapter on the number of images that a ranking needs."""
    from nasformer.report.figures import Line, draw_lines

    piece = pieces["images"]
    kinds = ranked_by(piece)
    lines = [
        Line(
            kind,
            [row["images"] for row in piece["rows"]],
            *([row[kind][end] for row in piece["rows"]] for end in ("value", "low", "high")),
        )
        for kind in kinds
    ]
    figure = draw_lines(
        "images",
        "Agreement of the ranking on a subset of images with that on all",
        f"Kendall's τ between the ranking of {piece['architectures']} architectures on a subset of search images and "
        f"that on all {piece['full']:,}; the bands hold 95 % of random subsets.",
        lines,
        series,
        x="images",
        y="Kendall τ",
        log=True,
    )
    told = [_enough(piece, kind) for kind in kinds]
    title = "How many images a ranking needs"
    return Chapter("images", title, [*told, *time_taken(piece)], [tables.images_table(piece)], drawn(figure))


def _enough(piece: JsonObject, kind: str) -> str:
    """State the smallest subset whose ranking agrees well with that of all images."""
    row = next((row for row in piece["rows"] if row[kind]["value"] >= _AGREE), None)
    if row is None:
        return f"Ranked by {kind}, no tested subset of images reaches a mean τ of {_AGREE} with all of them."
    return (
        f"Ranked by {kind}, {row['images']:,} of {piece['full']:,} images are the smallest tested subset with a mean "
        f"τ of at least {_AGREE}."
    )


def curse(pieces: Pieces, space: SearchSpace, series: Series, metric: Metric) -> Chapter:
    """Return the chapter on the winner's curse (selection bias)."""
    from nasformer.report.figures import Line, draw_lines

    piece = pieces["curse"]
    counts = [row["evaluations"] for row in piece["rows"]]
    figure = draw_lines(
        "curse",
        f"{sentence(metric.title)} of the best of several on the search and on the test split",
        f"Mean {metric.title} of the best of n architectures on the search split, which selected it, and on the test "
        "split. The splits differ, so values differ a little even without selection bias.",
        [Line(split, counts, [row[split] for row in piece["rows"]]) for split in ("search", "test")],
        series,
        x="evaluations",
        y=metric.heading,
        log=True,
    )
    title = "The winner's curse"
    return Chapter(
        "curse",
        title,
        [*_flattered(piece, metric), *time_taken(piece)],
        [tables.curse_table(piece, metric)],
        drawn(figure),
    )


def _flattered(piece: JsonObject, metric: Metric) -> list[str]:
    """State the optimism of the best on search images, and how much of it is not due to selection."""
    told = []
    if piece["rows"]:
        last = piece["rows"][-1]
        excess = written({"value": last["search"] - last["test"]}, metric, sign=True)
        told.append(
            f"Search minus test {metric.title} of the best of {last['evaluations']:,}: {excess}{points(metric)}."
        )
    if piece.get("bias") is not None:
        bias = written({"value": piece["bias"]}, metric, sign=True)
        told.append(f"Over all architectures the difference is {bias}: this is due to the examples, not selection.")
    return told
