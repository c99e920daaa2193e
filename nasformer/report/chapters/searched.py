"""Chapters on the search strategies, and on the winner against the uniform ViT."""

from __future__ import annotations

from nasformer.architecture import Architecture
from nasformer.report.chapters.chapter import (
    Chapter,
    Pieces,
    Series,
    drawn,
    finding,
    time_taken,
)
from nasformer.report.notation import counted, sentence
from nasformer.report.tables import diagnosis as tables
from nasformer.space import SearchSpace
from nasformer.tasks import Metric


def strategies(pieces: Pieces, space: SearchSpace, series: Series, metric: Metric) -> Chapter:
    """Return the chapter on the strategies at equal numbers of evaluations."""
    from nasformer.report.figures import Line, Row, draw_dots, draw_lines

    piece = pieces["strategies"]
    curves = [
        Line(row["strategy"], *map(list, zip(*row["curve"], strict=True))) for row in piece["rows"] if row["curve"]
    ]
    anytime = draw_lines(
        "strategies",
        f"Best search {metric.title} so far, by strategy",
        f"{sentence(metric.title)} of the incumbent on {piece['images']:,} search examples, median over seeds.",
        curves,
        series,
        x="evaluations",
        y=f"search {metric.heading}",
        steps=True,
    )
    rows = [
        Row(
            row["strategy"],
            row["test"],
            [f"seed {n}: {told:.{metric.digits}f}" for n, told in enumerate(row["test"])],
            row["mean"],
        )
        for row in piece["rows"]
    ]
    finals = draw_dots(
        "finals",
        f"Test {metric.title} of every search's winner",
        f"Test {metric.title} of every search's winner with inherited weights; one dot per seed.",
        rows,
        series,
        x=f"test {metric.heading}",
    )
    words = [f"{finding(row, metric)} of test {metric.title}." for row in piece["differences"]]
    shown = [tables.strategies_table(piece, metric), tables.contests_table(piece, metric)]
    return Chapter("strategies", "Search strategies", [*words, *time_taken(piece)], shown, drawn(anytime, finals))


def winner(pieces: Pieces, space: SearchSpace, series: Series, metric: Metric) -> Chapter:
    """Return the chapter on the winner against the uniform ViT."""
    from nasformer.report.figures import Row, draw_architecture, draw_dots

    piece = pieces["winner"]
    rows = [
        Row(
            row["name"],
            row["retrained"],
            [f"seed {n}: {told:.{metric.digits}f}" for n, told in enumerate(row["retrained"])],
            row["mean"],
        )
        for row in piece["rows"]
    ]
    seeds = draw_dots(
        "winner",
        f"Retrained test {metric.title}, by seed",
        f"Test {metric.title} after retraining for {counted(piece['epochs'], 'epoch')}; one dot per seed.",
        rows,
        series,
        x=f"test {metric.heading}",
    )
    drawings = [
        draw_architecture(space, Architecture.from_dict(dict(row["architecture"])), f"architecture-{n}", row["name"])
        for n, row in enumerate(piece["rows"], start=1)
    ]
    difference = piece["difference"]
    words = f"{finding(difference, metric)} of test {metric.title}, retrained with "
    words += f"{counted(difference['n'], 'seed')} each."
    title = "The winner against the uniform ViT"
    return Chapter(
        "winner", title, [words, *time_taken(piece)], [tables.winner_table(piece, metric)], drawn(seeds, *drawings)
    )
