"""Figures of a diagnosis, by piece."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nasformer.architecture import Architecture
from nasformer.report.figures.architecture import draw_architecture
from nasformer.report.figures.lines import Line, draw_lines
from nasformer.report.figures.picture import Picture
from nasformer.report.figures.rows import Row, draw_rows
from nasformer.report.figures.scatter import Cloud, draw_agreement
from nasformer.report.notation import amount, cost_name, estimate
from nasformer.report.tables.diagnosis import PARTS, by_kind, cost_of, ranked_by, target
from nasformer.report.tables.table import Series
from nasformer.report.words import say
from nasformer.space import SearchSpace
from nasformer.tasks import Metric, Task

JsonObject = Mapping[str, Any]
Pieces = Mapping[str, JsonObject]


def draw_diagnosis(pieces: Pieces, space: SearchSpace, task: Task, series: Series) -> dict[str, list[Picture | None]]:
    """Return the figures of every present piece, by its name; of "compute" the accuracies, as "budgets", apart."""
    metric = task.objective().fitness
    drawn: dict[str, list[Picture | None]] = {}
    if "compute" in pieces:
        rows = pieces["compute"]["rows"]
        drawn["budgets"] = [_budgets(rows, series, metric)]
        drawn["compute"] = [_winner(row, number, space) for number, row in enumerate(rows, start=1)]
    if "fidelity" in pieces:
        piece = pieces["fidelity"]
        drawn["fidelity"] = [_ranks(piece, series, metric), _gap(piece, series, metric) if piece["gap"] else None]
    if "efficiency" in pieces:
        piece = pieces["efficiency"]
        drawn["efficiency"] = [_efficiency(piece, series, task.objective(piece["ranked_by"]).fitness)]
    if "images" in pieces:
        drawn["images"] = [_images(pieces["images"], series)]
    return drawn


def _budgets(rows: Sequence[JsonObject], series: Series, metric: Metric) -> Picture | None:
    cost = cost_of(rows)
    lines = [
        _spread(name, [most for most, _ in found], [entry["test"] for _, entry in found])
        for name, found in by_kind(rows).items()
    ]
    return draw_lines(
        "budgets",
        f"Test {metric.title} at equal compute, by budget",
        say("figure_budgets", metric=metric),
        lines,
        series,
        x=f"budget: {cost_name(cost)}",
        y=f"test {metric.heading}",
        log=True,
        height=3.4,
    )


def _spread(label: str, x: Sequence[float], values: Sequence[Sequence[float]]) -> Line:
    """Return the line of means over seeds, with a band from the least to the most."""
    mean, low, high = ([float(of(each)) for each in values] for of in (np.mean, min, max))
    return Line(label, x, mean, low, high)


def _winner(row: JsonObject, number: int, space: SearchSpace) -> Picture:
    winner = Architecture.from_dict(dict(row["networks"][0]["architectures"][0]))
    return draw_architecture(space, winner, f"winner-{number}", f"winner under {target(row['budget'])}")


def _ranks(piece: JsonObject, series: Series, metric: Metric) -> Picture | None:
    clouds = []
    for part in piece["parts"]:
        tau = {row["of"]: row["kendall"]["value"] for row in part["ranks"]}["inherited"]
        before, after = ([row[name] for row in part["rows"]] for name in ("inherited", "retrained"))
        clouds.append(Cloud(PARTS[part["name"]], before, after, [*map(_note, part["rows"])], f"τ {tau:.2f}"))
    return draw_agreement(
        "fidelity",
        f"Retrained against inherited {metric.title}",
        "Each point is an architecture, with Kendall's τ.",
        clouds,
        series,
        x=f"inherited: test {metric.heading}",
        y=f"retrained: test {metric.heading}",
    )


def _gap(piece: JsonObject, series: Series, metric: Metric) -> Picture | None:
    known = [row for part in piece["parts"] for row in part["rows"] if "long" in row]
    gaps = [row["long"] - row["inherited"] for row in known]
    notes = [f"{gap:+.{metric.digits}f}: {_note(row)}" for gap, row in zip(gaps, known, strict=True)]
    mean = piece["gap"]["mean"]
    box = (mean["low"], mean["value"], mean["high"])
    return draw_rows(
        "gap",
        f"Retrained minus inherited {metric.title} at equal epochs",
        "Each dot is an architecture, retrained for as many epochs as the supernet; bar and box: mean, 95 % interval.",
        [Row("gap", gaps, notes, box, remark=f"mean {estimate(mean, metric)}")],
        series,
        x=f"retrained − inherited, {metric.heading}",
        mark=0,
    )


def _note(row: JsonObject) -> str:
    return f"{Architecture.from_dict(dict(row['architecture']))}, {amount(row['macs'])} MACs"


def _efficiency(piece: JsonObject, series: Series, metric: Metric) -> Picture | None:
    counts = range(1, piece["evaluations"] + 1)
    lines = [
        _spread(
            row["strategy"], [*counts], [[curve[min(at, len(curve)) - 1] for curve in row["curves"]] for at in counts]
        )
        for row in piece["rows"]
    ]
    lines.append(_spread(f"best of {piece['random']:,} random", [1, piece["evaluations"]], [piece["targets"]] * 2))
    return draw_lines(
        "efficiency",
        f"Best search {metric.title} so far, by strategy",
        f"Inherited {metric.title} of the incumbent on {piece['images']:,} search examples: mean and span over seeds.",
        lines,
        series,
        x="evaluations",
        y=f"search {metric.heading}",
        steps=True,
    )


def _images(piece: JsonObject, series: Series) -> Picture | None:
    rows = piece["rows"]
    ends = ("value", "low", "high")
    lines = [
        Line(kind, [row["images"] for row in rows], *([row[kind][end] for row in rows] for end in ends))
        for kind in ranked_by(piece)
    ]
    return draw_lines(
        "images",
        "Agreement of the ranking on a subset of images with that on all",
        say("figure_images", piece=piece),
        lines,
        series,
        x="images",
        y="Kendall τ",
        log=True,
    )
