"""Chapters on the search strategies, and on the winner against the uniform ViT."""

from __future__ import annotations

from nasformer.architecture import Architecture
from nasformer.report.chapters.chapter import (
    POINTS,
    Chapter,
    Pieces,
    Series,
    between,
    drawn,
    sentence,
    time_taken,
)
from nasformer.report.notation import counted
from nasformer.report.tables import diagnosis as tables
from nasformer.report.tables.diagnosis import written
from nasformer.space import SearchSpace


def strategies(pieces: Pieces, space: SearchSpace, series: Series) -> Chapter:
    """Return the chapter on the strategies at equal numbers of evaluations."""
    from nasformer.report.figures import Line, Row, draw_dots, draw_lines

    piece = pieces["strategies"]
    curves = [
        Line(row["strategy"], *map(list, zip(*row["curve"], strict=True))) for row in piece["rows"] if row["curve"]
    ]
    anytime = draw_lines(
        "strategies",
        "Best search accuracy so far, by strategy",
        f"Accuracy of the incumbent on {piece['images']:,} search images, median over seeds.",
        curves,
        series,
        x="evaluations",
        y="search accuracy, %",
        steps=True,
    )
    rows = [
        Row(row["strategy"], row["test"], [f"seed {n}: {told:.2f}" for n, told in enumerate(row["test"])], row["mean"])
        for row in piece["rows"]
    ]
    finals = draw_dots(
        "finals",
        "Test accuracy of every search's winner",
        "Test accuracy of every search's winner with inherited weights; one dot per seed.",
        rows,
        series,
        x="test accuracy, %",
    )
    words = [f"{sentence(between(row))}: {written(row['mean'], sign=True)} {POINTS}." for row in piece["differences"]]
    shown = [tables.strategies_table(piece), tables.contests_table(piece)]
    return Chapter("strategies", "Search strategies", [*words, *time_taken(piece)], shown, drawn(anytime, finals))


def winner(pieces: Pieces, space: SearchSpace, series: Series) -> Chapter:
    """Return the chapter on the winner against the uniform ViT."""
    from nasformer.report.figures import Row, draw_architecture, draw_dots

    piece = pieces["winner"]
    rows = [
        Row(
            row["name"],
            row["retrained"],
            [f"seed {n}: {told:.2f}" for n, told in enumerate(row["retrained"])],
            row["mean"],
        )
        for row in piece["rows"]
    ]
    seeds = draw_dots(
        "winner",
        "Retrained test accuracy, by seed",
        f"Test accuracy after retraining for {counted(piece['epochs'], 'epoch')}; one dot per seed.",
        rows,
        series,
        x="test accuracy, %",
    )
    drawings = [
        draw_architecture(space, Architecture.from_dict(dict(row["architecture"])), f"architecture-{n}", row["name"])
        for n, row in enumerate(piece["rows"], start=1)
    ]
    difference = piece["difference"]
    words = f"{sentence(between(difference))}: {written(difference['mean'], sign=True)} {POINTS}, retrained with "
    words += f"{counted(difference['n'], 'seed')} each."
    title = "The winner against the uniform ViT"
    return Chapter("winner", title, [words, *time_taken(piece)], [tables.winner_table(piece)], drawn(seeds, *drawings))
