"""Report of a fine-tuned or retrained network."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer._provenance import machine
from nasformer.architecture import Architecture
from nasformer.cost import COSTS, Geometry
from nasformer.data.samples import MISTAKES
from nasformer.report.interval import MetricInterval, interval
from nasformer.report.notation import compact, duration, grouped, written
from nasformer.report.page import Download, Subject, Tile, render, write_files
from nasformer.report.tables import training as tables
from nasformer.report.tables.record import data_table, versions_table
from nasformer.report.tables.table import Table, facts, flattened, numbered
from nasformer.report.words import say
from nasformer.tasks import Task, task_of

if TYPE_CHECKING:
    from nasformer.report.figures import Picture

JsonObject = Mapping[str, Any]
_FEW = 10
_MANY = 30
_DONE = {"finetune": "fine-tuned", "retrain": "trained from scratch"}


def write_training_report(folder: str | Path, figures: JsonObject, *, title: str, command: str = "") -> Path:
    """Write ``report.html``, and ``figures/NAME.svg`` and ``.png``, into a folder.

    Args:
        folder: Output folder, created if missing.
        figures: Result of ``FinetuneResult.to_dict``, with test scores.
        title: Heading of the page.
        command: The shell command.

    Returns:
        The path of ``report.html``.

    Raises:
        NasformerError: The folder cannot be written.
    """
    from nasformer.report.figures import draw_confusion, draw_network, draw_progress

    training, test = figures["training"], figures["test"]
    task, (part, rows) = task_of(training["data"]), _parts(test)
    parts = "" if not part else "classes" if part == "class" else f"{part}s"
    costs = {name: figures[name] for name in COSTS}
    network = Geometry.from_dict(figures["geometry"]), Architecture.from_dict(dict(figures["architecture"])), costs
    drawing = draw_network(*network, "architecture", "the network")
    curves = draw_progress(task, training["history"], training.get("kept"))
    names = [str(row["class"]) for row in rows] if "confusion" in test else []
    confusion, profile = draw_confusion(test["confusion"], names) if names else None, _profile(task, part, rows)
    ends = interval(task.metrics[0], test, test[task.examples])
    html = render(
        "training.html.j2",
        Subject(title, command, Download.of_json(f"{figures['kind']}.json", figures)),
        [data_table(training["data"]), versions_table({**figures["versions"], **machine()})],
        summary=_summary(task, figures, ends),
        tiles=_tiles(task, figures, ends),
        warnings=_warnings(parts, rows),
        drawing=drawing,
        curves=curves,
        parts=parts,
        confusion=confusion,
        many=len(rows) > _MANY,
        profile=profile,
        details=_details(task, part, test),
        mistakes=_mistakes(Path(folder), figures),
        confusions=tables.confusions_table(test) if confusion else None,
        scores=tables.scores_table(task, figures, _DONE[figures["kind"]]),
        costs=tables.costs_table(task, figures),
        origin=tables.origin_table(figures),
        recipe=replace(facts("recipe", "The recipe.", flattened(training["recipe"])), folded="All settings"),
    )
    return write_files(folder, {"report.html": html}, [drawing, *curves, confusion, profile]) / "report.html"


def _tiles(task: Task, figures: JsonObject, ends: MetricInterval | None) -> list[Tile]:
    metric, speed = task.metrics[0], figures["speed"]
    batch = f"{task.examples}/s, batch size {speed['batch_size']}"
    return [
        Tile(f"test {metric.title}", written(figures["test"].get(metric.name), metric), str(ends or "")),
        Tile("parameters", grouped(figures["params"]), f"{compact(figures['macs'])} MACs per {task.example}"),
        Tile("latency here", duration(speed["latency_ms"] / 1000), "batch size 1"),
        Tile("throughput here", f"{speed['images_per_second']:,.0f}", batch),
    ]


def _parts(test: JsonObject) -> tuple[str, Sequence[Any]]:
    """Return what the outputs are, such as "class", and the figures of each."""
    return next(((key.removeprefix("per_"), rows) for key, rows in test.items() if key.startswith("per_")), ("", ()))


def _profile(task: Task, part: str, rows: Sequence[Any]) -> Picture | None:
    """Return the main metric by output, where outputs are ordered: plain numbers."""
    from nasformer.report.figures import Line, draw_lines

    if not rows or isinstance(rows[0], Mapping):
        return None
    metric, places = task.metrics[0], range(1, len(rows) + 1)
    title, caption = f"{metric.title} by {part}", f"{metric.title} of each {part}, over the test {task.examples}."
    return draw_lines("profile", title, caption, [Line("test", places, rows)], numbered(), x=part, y=metric.heading)


def _mistakes(folder: Path, figures: JsonObject) -> tuple[str, Table] | None:
    """Return the most confidently wrong images as a data URL, with their table; None without any."""
    found, sheet = figures.get("mistakes"), folder / MISTAKES
    if not found or not sheet.is_file():
        return None
    return f"data:image/png;base64,{b64encode(sheet.read_bytes()).decode()}", tables.mistakes_table(found)


def _details(task: Task, part: str, test: JsonObject) -> Table | None:
    rows = test.get(f"per_{part}") or ()
    if "confusion" in test:
        return tables.classes_table(task, test)
    return tables.parts_table(task, part, rows) if rows and isinstance(rows[0], Mapping) else None


def _summary(task: Task, figures: JsonObject, ends: MetricInterval | None) -> list[str]:
    test, before = figures["test"], figures.get("before") or {}
    found = [say("trained", task=task, figures=figures, done=_DONE[figures["kind"]], ends=ends)]
    metric = next((each for each in task.metrics if each.name in before), None)
    if metric is not None:
        found.append(say("gained", task=task, metric=metric, before=before, test=test, paired=figures.get("paired")))
    told = [row for row in test["per_class"] if row["images"]] if "confusion" in test else []
    ordered = sorted(told, key=lambda row: (row["accuracy"], row["class"]))
    if len(told) > 2 and ordered[0]["accuracy"] < ordered[-1]["accuracy"]:
        found.append(say("hardest", rows=ordered))
    return found


def paired_verdict(task: Task, paired: Mapping[str, Any]) -> str:
    """Return the counts, the p-value and the verdict of ``training.paired_test``.

    >>> from nasformer.tasks import get_task
    >>> counts = {"both": 300, "only_before": 8, "only_after": 29, "neither": 23}
    >>> paired_verdict(get_task("classification")(), {"metric": "accuracy", "test": "McNemar", **counts, "p": 0.00076})
    "29 images are right only after, 8 only before (McNemar's exact test, p = 0.00076): the difference is significant."
    """
    return say("paired_verdict", task=task, paired=paired)


def _warnings(parts: str, rows: Sequence[Any]) -> list[str]:
    images = [row["images"] for row in rows if isinstance(row, Mapping) and "images" in row]
    found = {"few_examples": sum(0 < count < _FEW for count in images), "no_example": images.count(0)}
    return [say(kind, count=count, of=f"of {len(images):,} {parts}") for kind, count in found.items() if count]
