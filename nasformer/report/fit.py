"""Report of a run of ``fit``: the network of each budget, the front, and how they were made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nasformer._provenance import machine, versions
from nasformer.architecture import Architecture
from nasformer.cost import COSTS, Bounds, Limits
from nasformer.report.figures import Line, Picture, draw_learning_curve, draw_lines, draw_network
from nasformer.report.interval import interval
from nasformer.report.notation import amount, budget, compact, cost_name, short_budget
from nasformer.report.page import Download, Subject, Tile, render, write_files
from nasformer.report.tables.record import data_table, space_table, training_table, versions_table
from nasformer.report.tables.table import Cell, Table, bounds, columns, count, facts, in_unit, number
from nasformer.report.words import say
from nasformer.space import SearchSpace
from nasformer.tasks import Metric, task_of

JsonObject = Mapping[str, Any]
_NETWORKS, _RIVALS = "networks", "uniform ViT, alone"


def write_fit_report(folder: str | Path, found: JsonObject, *, title: str, command: str = "") -> Path:
    """Write ``report.html``, and ``figures/NAME.svg`` and ``.png``, into a folder; return the page.

    ``found`` are plain values: ``space``; ``models``, each with budget, architecture, costs, measured_ms, test, bytes,
    file and rival; ``stages``, the line of each; ``training``, of ``TrainingResult.to_dict``.

    Raises:
        NasformerError: The folder cannot be written.
    """
    training = found["training"]
    task, space, models = task_of(training["data"]), SearchSpace.from_dict(dict(found["space"])), found["models"]
    metric, examples = task.metrics[0], training["data"]["splits"]["test"]
    last, ends = models[-1], interval(metric, models[-1]["test"], examples)
    curve, front = draw_learning_curve(training), _front(models, metric, examples)
    distinct = {json.dumps(model["architecture"]): model for model in models}.values()
    drawings = [
        draw_network(
            space.geometry,
            Architecture.from_dict(dict(model["architecture"])),
            {name: model["costs"][name] for name in COSTS},
            f"network-{number}",
            f"the network of {_budget(model)}",
            space.largest,
        )
        for number, model in enumerate(distinct, 1)
    ]
    html = render(
        "fit.html.j2",
        Subject(title, command, Download.of_json("fit.json", found)),
        [data_table(training["data"]), versions_table({**versions(), **machine()})],
        summary=[say("fitted", model=last, budget=_budget(last), task=task, examples=examples, ends=ends)],
        tiles=[_tile(model, metric, examples) for model in models],
        warnings=[],
        front=front,
        curve=curve,
        drawings=drawings,
        networks=_networks(models, metric, examples),
        stages=facts("stages", "What each stage decided.", [[name, line] for name, line in found["stages"].items()]),
        training=replace(training_table(training), folded="Recipe and result"),
        space=space_table(space),
    )
    return write_files(folder, {"report.html": html}, [front, curve, *drawings]) / "report.html"


def _budget(model: JsonObject) -> str:
    return budget(_limits(model))


def _short(model: JsonObject) -> str:
    return short_budget(_limits(model))


def _limits(model: JsonObject) -> Limits:
    return {name: Bounds(None, most) for name, most in model["budget"].items()}


def _tile(model: JsonObject, metric: Metric, examples: int) -> Tile:
    """Return the tile of a budget: bound, test metric, and what the network takes of it."""
    ends = interval(metric, model["test"], examples)
    taken = [
        f"{amount(model['costs'][name])} {cost_name(name)}{' predicted' if name == 'latency_ms' else ''}"
        for name in model["budget"]
    ]
    measured = [] if model["measured_ms"] is None else [f"{model['measured_ms']:.2f} ms measured"]
    words = "; ".join([*taken, *measured, *([] if ends is None else [f"95 % interval {ends}"])])
    return Tile(_short(model), metric.text(model["test"][metric.name]), words)


def _front(models: Sequence[JsonObject], metric: Metric, examples: int) -> Picture | None:
    """Return the test metric by budget; None with fewer than two budgets."""
    budgets = [set(model["budget"].items()) for model in models]
    differing = {name for own in budgets for name, _ in own if any(own != other for other in budgets)}
    cost = next((name for name in models[0]["budget"] if name in differing), "")
    if not cost:
        return None
    ordered = sorted(models, key=lambda model: float(model["budget"][cost]))
    kinds = {
        _NETWORKS: [model["test"] for model in ordered],
        _RIVALS: [(model["rival"] or {}).get("test") for model in ordered],
    }
    lines = []
    for kind, tests in kinds.items():
        if all(tests):
            ends = [interval(metric, test, examples) for test in tests]
            edges = ([end and end.low for end in ends], [end and end.high for end in ends]) if all(ends) else ((), ())
            at = [model["budget"][cost] for model in ordered]
            lines.append(Line(kind, at, [test[metric.name] for test in tests], *edges))
    caption = f"Test {metric.title} by budget in {cost_name(cost)}; bands are 95 % intervals over the test examples."
    series = {kind: number for number, kind in enumerate(kinds)}
    x, y = f"budget, {cost_name(cost)}", f"test {metric.heading}"
    return draw_lines("front", "The networks", caption, lines, series, x=x, y=y, log=True)


def _networks(models: Sequence[JsonObject], metric: Metric, examples: int) -> Table:
    def test(figures: JsonObject | None) -> Cell:
        return in_unit(None if figures is None else figures["test"][metric.name], metric)

    cells = {
        "budget": _short,
        f"test {metric.title}": test,
        "95 % interval": lambda model: bounds(interval(metric, model["test"], examples)),
        "parameters": lambda model: count(model["costs"]["params"]),
        "MACs": lambda model: count(model["costs"]["macs"]),
        "predicted ms": lambda model: number(model["costs"].get("latency_ms")),
        "measured ms": lambda model: number(model["measured_ms"]),
        _RIVALS: lambda model: test(model["rival"]),
        "size": lambda model: f"{compact(model['bytes'])}B",
        "file": lambda model: Path(model["file"]).parent.name,
    }
    return columns("networks", say("table_fit", rivals=any(model["rival"] for model in models)), models, cells)
