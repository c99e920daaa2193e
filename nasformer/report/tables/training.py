"""Tables of a trained network: metrics, parts such as classes, costs, speed and provenance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nasformer.cost import Geometry
from nasformer.report.interval import interval
from nasformer.report.notation import duration, grouped
from nasformer.report.tables.record import effort_rows, input_rows
from nasformer.report.tables.table import (
    Cell,
    JsonObject,
    Table,
    bounds,
    columns,
    facts,
    flattened,
    folded,
    in_unit,
    number,
)
from nasformer.report.words import say
from nasformer.tasks import Metric, Task

_SHOWN = 40
_CONFUSIONS = 12


def start_of(figures: JsonObject) -> str:
    """Return what a fine-tuning began with: "inherited" weights, or those "repaired" after cutting."""
    return "repaired" if (figures.get("repair") or {}).get("kept") else "inherited"


def scores_table(task: Task, figures: JsonObject, done: str) -> Table:
    """Return every metric on the test examples, also of the inherited weights if they were evaluated."""
    examples = figures["test"][task.examples]
    judged = {start_of(figures): figures.get("before"), done: figures["test"]}

    def score(metric: Metric) -> Any:
        return lambda item: in_unit(item[1].get(metric.name), metric, interval(metric, item[1], examples))

    items = [item for item in judged.items() if item[1]]
    cells = {"": lambda item: item[0], **{metric.title: score(metric) for metric in task.metrics}}
    caption = say("table_scores", examples=examples, noun=task.examples)
    return columns("scores", caption, items, cells, marked=len(items) - 1)


def parts_table(task: Task, part: str, rows: Sequence[JsonObject]) -> Table:
    """Return the figures of each output, such as a label; a column that ends the name of a metric has its unit."""
    titles = {"f1": "F1", **{metric.name: metric.title for metric in task.metrics}}
    header = [titles.get(key, key.replace("_", " ")) for key in rows[0]]
    cells = [[str(row[part]), *(_figure(task, key, row[key]) for key in row if key != part)] for row in rows]
    return Table("parts", f"Every {part}.", header, cells, folded=folded(len(rows), f"{part}s", _SHOWN))


def _figure(task: Task, key: str, value: float | None) -> Cell:
    metric = next((each for each in task.metrics if each.name.endswith(key)), None)
    if metric is not None:
        return in_unit(value, metric)
    return number(value, grouped if isinstance(value, int) else "{:.4g}")


def classes_table(task: Task, test: JsonObject) -> Table:
    """Return each class's images, accuracy with interval, precision, and most frequent confusion."""
    told, main, counts = test["per_class"], task.metrics[0], np.asarray(test["confusion"])
    taken, errors = counts.sum(axis=0), counts * ~np.eye(len(counts), dtype=bool)

    def mistaken(place: int) -> Cell:
        most = int(errors[place].argmax())
        return number(errors[place, most] or None, lambda count: f"{told[most]['class']} ({int(count):,})")

    cells = {
        "class": lambda place: str(told[place]["class"]),
        "images": lambda place: number(told[place]["images"], grouped),
        "accuracy": lambda place: in_unit(told[place]["accuracy"], main),
        "95 % interval": lambda place: bounds(interval(main, told[place], told[place]["images"])),
        "precision": lambda at: in_unit(100.0 * counts[at, at] / taken[at] if taken[at] else None, main),
        "most often confused with": mistaken,
    }
    caption = "Accuracy (recall) and precision of every class."
    return columns("classes", caption, range(len(told)), cells, folded=folded(len(told), "classes", _SHOWN))


def confusions_table(test: JsonObject) -> Table:
    """Return the most frequent errors."""
    names, counts = [str(row["class"]) for row in test["per_class"]], np.asarray(test["confusion"])
    found = [(names[a], names[b], int(counts[a, b])) for a, b in np.argwhere(counts) if a != b]
    errors = sum(count for *_, count in found)
    cells = {
        "true class": lambda mistake: mistake[0],
        "predicted": lambda mistake: mistake[1],
        "images": lambda mistake: number(mistake[2], grouped),
        "of all errors": lambda mistake: number(100 * mistake[2] / errors, "{:.1f} %"),
    }
    caption = f"The most frequent of {errors:,} errors." if found else "No test image was misclassified."
    most = sorted(found, key=lambda mistake: (-mistake[2], mistake[:2]))[:_CONFUSIONS]
    return columns("confusions", caption, most, cells)


def mistakes_table(mistakes: Sequence[JsonObject]) -> Table:
    """Return the most confidently wrong images."""
    cells = {
        "place": lambda item: number(item[0], "{}"),
        "true class": lambda item: str(item[1]["class"]),
        "predicted": lambda item: str(item[1]["predicted"]),
        "probability": lambda item: number(item[1]["probability"], "{:.1f} %"),
        "test image": lambda item: number(item[1]["image"], grouped),
    }
    return columns("mistakes", say("table_mistakes"), enumerate(mistakes, 1), cells)


def costs_table(task: Task, figures: JsonObject) -> Table:
    """Return the network's costs: parameters, MACs, latency and throughput on this machine."""
    speed = figures["speed"]
    rows = [
        ["parameters", grouped(figures["params"])],
        [f"MACs per {task.example}", grouped(figures["macs"])],
        *input_rows(Geometry.from_dict(figures["geometry"])),
        [f"latency of one {task.example}", duration(speed["latency_ms"] / 1000)],
        ["throughput", f"{speed['images_per_second']:,.0f} {task.examples}/s with batch size {speed['batch_size']}"],
        ["measured on", str(speed["device"])],
        ["medians of", f"{speed['repeats']} measurements"],
    ]
    return facts("costs", "Costs of the network, with speed on the machine that trained it.", rows)


def origin_table(figures: JsonObject) -> Table:
    """Return the provenance of the network, and its training time."""
    known = ("kind", "freeze", "start", "source", "teacher")
    rows = flattened({key: figures[key] for key in known if key in figures})
    rows += effort_rows(figures["training"], ("steps", "device", "processes"))
    return facts("origin", "Provenance; hashes identify weights.", rows)
