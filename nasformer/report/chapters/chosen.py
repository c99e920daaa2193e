"""Chosen: how many images a ranking needs, and how much better its first looks than it is."""

from __future__ import annotations

from nasformer.report.chapters.chapter import (
    POINTS,
    Chapter,
    JsonObject,
    Pieces,
    Series,
    drawn,
    time_taken,
)
from nasformer.report.tables import diagnosis as tables
from nasformer.report.tables.diagnosis import written
from nasformer.space import SearchSpace

_AGREE = 0.8


def images(pieces: Pieces, space: SearchSpace, series: Series) -> Chapter:
    """Return how many images a ranking needs."""
    from nasformer.report.figures import Line, draw_lines

    piece = pieces["images"]
    kinds = [kind for kind in ("accuracy", "loss") if all(kind in row for row in piece["rows"])]
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
        "Agreement of a ranking by few images with that by all",
        f"Kendall's τ of a ranking of {piece['architectures']} architectures by so many search images against that by "
        f"all {piece['full']:,}; the bands hold 95 % of the draws.",
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
    """Say how few of the images rank nearly as all do."""
    row = next((row for row in piece["rows"] if row[kind]["value"] >= _AGREE), None)
    if row is None:
        return f"Ranked by {kind}, no number of images that was tried agrees with all of them to a mean τ of {_AGREE}."
    return (
        f"Ranked by {kind}, {row['images']:,} of {piece['full']:,} images are the fewest tried with a mean τ of "
        f"{_AGREE} or more."
    )


def curse(pieces: Pieces, space: SearchSpace, series: Series) -> Chapter:
    """Return how much better a winner looks than it is."""
    from nasformer.report.figures import Line, draw_lines

    piece = pieces["curse"]
    counts = [row["evaluations"] for row in piece["rows"]]
    figure = draw_lines(
        "curse",
        "The best of several, where it was chosen and on test images",
        "Mean accuracy of the best of so many architectures on the images that chose it and on test images, which are "
        "other ones: even a fair choice differs a little.",
        [Line(split, counts, [row[split] for row in piece["rows"]]) for split in ("search", "test")],
        series,
        x="evaluations",
        y="accuracy, %",
        log=True,
    )
    title = "The winner's curse"
    return Chapter("curse", title, [*_flattered(piece), *time_taken(piece)], [tables.curse_table(piece)], drawn(figure))


def _flattered(piece: JsonObject) -> list[str]:
    """Say how much better the best looks than it is, and how much of that no choice made."""
    told = []
    if piece["rows"]:
        last = piece["rows"][-1]
        excess = written({"value": last["search"] - last["test"]}, sign=True)
        told.append(
            f"On the images that chose it, the best of {last['evaluations']:,} scores {excess} {POINTS} against test "
            "images."
        )
    if piece.get("bias") is not None:
        bias = written({"value": piece["bias"]}, sign=True)
        told.append(f"Over all architectures, chosen or not, it is {bias}: that much is the images' doing.")
    return told
