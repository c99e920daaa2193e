"""Report of a fine-tuned or retrained network."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer._provenance import machine
from nasformer.architecture import Architecture
from nasformer.cost import COSTS, Geometry
from nasformer.report import tables
from nasformer.report.interval import interval
from nasformer.report.notation import MISSING, compact, counted, duration, grouped, listed, points, sentence, signed
from nasformer.report.page import Download, Subject, render, write_files
from nasformer.report.paired import paired_verdict
from nasformer.report.plain import plain
from nasformer.tasks import Metric, Task, task_of

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
    training, test = figures.get("training") or {}, figures["test"]
    task, (part, rows) = task_of(training.get("data") or {}), _parts(test)
    drawings, curves = [_drawing(figures)], _curves(task, training.get("history") or ())
    confusion, profile = _confusion(test), _profile(task, part, rows)
    pictures = [*drawings, *curves, *confusion, *profile]
    html = render(
        "training.html.j2",
        Subject(title, command, _download(figures)),
        pictures,
        _records(figures),
        summary=_summary(task, figures),
        key_figures=_key_figures(task, figures),
        warnings=_warnings(part, rows),
        chapters=[],
        drawings=drawings,
        curves=curves,
        parts=_several(part) if part else "",
        confusion=confusion,
        many=len(rows) > _MANY,
        profile=profile,
        details=_details(task, part, test),
        confusions=tables.confusions_table(test) if confusion else None,
        scores=tables.scores_table(task, figures, _done(figures)),
        costs=tables.costs_table(task, figures),
        origin=tables.origin_table(figures),
        recipe=tables.recipe_table(training.get("recipe") or {}),
    )
    return write_files(folder, {"report.html": html}, pictures) / "report.html"


def _parts(test: JsonObject) -> tuple[str, Sequence[Any]]:
    """Return what the outputs are, such as "class", and the figures of each."""
    return next(((key.removeprefix("per_"), rows) for key, rows in test.items() if key.startswith("per_")), ("", ()))


def _several(part: str) -> str:
    return "classes" if part == "class" else f"{part}s"


def _done(figures: JsonObject) -> str:
    return _DONE.get(figures.get("kind", ""), "trained")


def _drawing(figures: JsonObject) -> Picture:
    from nasformer.report.figures import draw_network

    architecture = Architecture.from_dict(dict(figures["architecture"]))
    costs = {name: figures[name] for name in COSTS}
    return draw_network(Geometry.from_dict(figures["geometry"]), architecture, costs, "architecture", "the network")


def _curves(task: Task, history: Sequence[JsonObject]) -> list[Picture]:
    from nasformer.report.figures import draw_progress

    return draw_progress(task, history)


def _confusion(test: JsonObject) -> list[Picture]:
    from nasformer.report.figures import draw_confusion

    if "confusion" not in test:
        return []
    return [draw_confusion(test["confusion"], [str(row["class"]) for row in test["per_class"]])]


def _profile(task: Task, part: str, rows: Sequence[Any]) -> list[Picture]:
    """Return the main metric by output, where outputs are ordered: plain numbers."""
    from nasformer.report.figures import Line, draw_lines

    if not rows or isinstance(rows[0], Mapping):
        return []
    metric, places = task.metrics[0], range(1, len(rows) + 1)
    title, caption = f"{metric.title} by {part}", f"{metric.title} of each {part}, over the test {task.examples}."
    picture = draw_lines("profile", title, caption, [Line("test", places, rows)], {"test": 0}, x=part, y=metric.heading)
    return [] if picture is None else [picture]


def _details(task: Task, part: str, test: JsonObject) -> tables.Table | None:
    rows = test.get(f"per_{part}") or ()
    if "confusion" in test:
        return tables.classes_table(task, test)
    return tables.parts_table(task, part, rows) if rows and isinstance(rows[0], Mapping) else None


def _download(figures: JsonObject) -> Download:
    text = json.dumps(plain(figures), indent=1) + "\n"
    return Download(f"{figures.get('kind', 'training')}.json", "Download all figures as JSON", "application/json", text)


def _records(figures: JsonObject) -> list[tables.Table]:
    data = (figures.get("training") or {}).get("data")
    rows = tables.flattened({**(figures.get("versions") or {}), **machine()})
    versions = tables.facts("versions", "Versions and machine.", rows)
    return [*([tables.data_table(data)] if data else []), versions]


def _summary(task: Task, figures: JsonObject) -> list[str]:
    metric, test = task.metrics[0], figures["test"]
    examples = test[task.examples]
    ends = interval(metric, test, examples)
    lead = (
        f"The network was {_done(figures)}{_from(figures)}{_for(figures)}. Its {metric.title} on {examples:,} test "
        f"{task.examples} is {_value(metric, test)}{'' if ends is None else f' (95 % interval {ends})'}."
    )
    return [lead, *_gain(task, figures), *_hardest(test)]


def _value(metric: Metric, scores: JsonObject) -> str:
    value = scores.get(metric.name)
    return MISSING if value is None else metric.text(value)


def _from(figures: JsonObject) -> str:
    weights = (figures.get("source") or {}).get("weights")
    head = " (head only)" if figures.get("freeze") == "backbone" else ""
    return f"{head} from {weights}" if weights else head


def _for(figures: JsonObject) -> str:
    training = figures.get("training") or {}
    name = (training.get("data") or {}).get("name")
    epochs = len(training.get("history") or ())
    data = f" on {name}" if name else ""
    return f"{data} for {counted(epochs, 'epoch')}" if epochs else data


def _gain(task: Task, figures: JsonObject) -> list[str]:
    """Return the change of the first metric that was also measured before the training."""
    before, test = figures.get("before") or {}, figures["test"]
    metric = next((each for each in task.metrics if each.name in before), None)
    if metric is None:
        return []
    text = (
        f"Before, its {metric.title} on the same {task.examples} was {_value(metric, before)}: a change of "
        f"{signed(test[metric.name] - before[metric.name])}{points(metric)}."
    )
    paired = figures.get("paired")  # not in files of earlier versions
    return [f"{text} {sentence(paired_verdict(task, paired))}" if paired else text]


def _hardest(test: JsonObject) -> list[str]:
    if "confusion" not in test:
        return []
    told = sorted((row for row in test["per_class"] if row["images"]), key=lambda row: (row["accuracy"], row["class"]))
    if len(told) < 3 or told[0]["accuracy"] == told[-1]["accuracy"]:
        return []
    worst = [f"{row['class']} ({row['accuracy']:.1f} %)" for row in told[:3]]
    return [f"Hardest classes: {listed(worst)}; easiest: {told[-1]['class']} ({told[-1]['accuracy']:.1f} %)."]


def _key_figures(task: Task, figures: JsonObject) -> list[tuple[str, str, str]]:
    """Return the key figures: name, value and remark."""
    test, speed, metric = figures["test"], figures.get("speed"), task.metrics[0]
    ends = interval(metric, test, test[task.examples])
    shown = [(f"test {metric.title}", _value(metric, test), "" if ends is None else str(ends))]
    shown.append(("parameters", grouped(figures["params"]), f"{compact(figures['macs'])} MACs per {task.example}"))
    if speed:
        shown.append(("latency here", duration(speed["latency_ms"] / 1000), "batch size 1"))
        batch = f"{task.examples}/s, batch size {speed['batch_size']}"
        shown.append(("throughput here", f"{speed['images_per_second']:,.0f}", batch))
    return shown


def _warnings(part: str, rows: Sequence[Any]) -> list[str]:
    images = [row["images"] for row in rows if isinstance(row, Mapping) and "images" in row]
    few, told, of = sum(1 for count in images if 0 < count < _FEW), [], f"of {len(images):,} {_several(part)}"
    if few:
        told.append(f"{few:,} {of} have fewer than {_FEW} test images, so their figures are imprecise.")
    if 0 in images:
        told.append(f"{images.count(0):,} {of} have no test image.")
    return told
