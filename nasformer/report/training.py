"""Report of a fine-tuned or retrained network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer._provenance import machine
from nasformer.architecture import Architecture
from nasformer.cost import COSTS, Geometry
from nasformer.report import tables
from nasformer.report.accuracy import interval
from nasformer.report.notation import compact, counted, duration, grouped, listed, percent, signed
from nasformer.report.page import Download, Subject, render, write_files
from nasformer.report.plain import plain

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
    drawings, curves = [_drawing(figures)], _curves(figures)
    confusion = _confusion(figures)
    training = figures.get("training") or {}
    pictures = [*drawings, *curves, confusion]
    html = render(
        "training.html.j2",
        Subject(title, command, _download(figures)),
        pictures,
        _records(figures),
        summary=_summary(figures),
        key_figures=_key_figures(figures),
        warnings=_warnings(figures),
        chapters=[],
        drawings=drawings,
        curves=curves,
        confusion=confusion,
        many=len(figures["test"]["confusion"]) > _MANY,
        scores=tables.scores_table(figures, _done(figures)),
        classes=tables.classes_table(figures["test"]),
        confusions=tables.confusions_table(figures["test"]),
        costs=tables.costs_table(figures),
        origin=tables.origin_table(figures),
        recipe=tables.recipe_table(training.get("recipe") or {}),
    )
    return write_files(folder, {"report.html": html}, pictures) / "report.html"


def _done(figures: JsonObject) -> str:
    return _DONE.get(figures.get("kind", ""), "trained")


def _drawing(figures: JsonObject) -> Picture:
    from nasformer.report.figures import draw_network

    architecture, geometry = Architecture.from_dict(dict(figures["architecture"])), Geometry(**figures["geometry"])
    costs = {name: figures[name] for name in COSTS}
    return draw_network(geometry, architecture, costs, "architecture", "the network")


def _curves(figures: JsonObject) -> list[Picture]:
    from nasformer.report.figures import draw_progress

    return draw_progress((figures.get("training") or {}).get("history") or ())


def _confusion(figures: JsonObject) -> Picture:
    from nasformer.report.figures import draw_confusion

    test = figures["test"]
    return draw_confusion(test["confusion"], [str(row["class"]) for row in test["per_class"]])


def _download(figures: JsonObject) -> Download:
    text = json.dumps(plain(figures), indent=1) + "\n"
    return Download(f"{figures.get('kind', 'training')}.json", "Download all figures as JSON", "application/json", text)


def _records(figures: JsonObject) -> list[tables.Table]:
    data = (figures.get("training") or {}).get("data")
    rows = tables.flattened({**(figures.get("versions") or {}), **machine()})
    versions = tables.facts("versions", "Versions and machine.", rows)
    return [*([tables.data_table(data)] if data else []), versions]


def _summary(figures: JsonObject) -> list[str]:
    test = figures["test"]
    ends = interval(test["accuracy"], test["images"])
    lead = (
        f"The network was {_done(figures)}{_from(figures)}{_for(figures)}. It classifies "
        f"{percent(test['accuracy'])} of {test['images']:,} test images correctly (95 % interval {ends})."
    )
    return [lead, *_gain(figures), *_hardest(test)]


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


def _gain(figures: JsonObject) -> list[str]:
    before, test = figures.get("before"), figures["test"]
    if not before:
        return []
    images, difference = test["images"], test["accuracy"] - before["accuracy"]
    overlap = interval(before["accuracy"], images).overlaps(interval(test["accuracy"], images))
    settles = "overlap, so the difference is inconclusive" if overlap else "do not overlap"
    return [
        f"Before, its accuracy on the same images was {percent(before['accuracy'])}: a change of "
        f"{signed(difference)} percentage points. The two 95 % intervals {settles}."
    ]


def _hardest(test: JsonObject) -> list[str]:
    told = sorted((row for row in test["per_class"] if row["images"]), key=lambda row: (row["accuracy"], row["class"]))
    if len(told) < 3 or told[0]["accuracy"] == told[-1]["accuracy"]:
        return []
    worst = [f"{row['class']} ({row['accuracy']:.1f} %)" for row in told[:3]]
    return [f"Hardest classes: {listed(worst)}; easiest: {told[-1]['class']} ({told[-1]['accuracy']:.1f} %)."]


def _key_figures(figures: JsonObject) -> list[tuple[str, str, str]]:
    """Return the key figures: name, value and remark."""
    test, speed = figures["test"], figures.get("speed")
    shown = [("test accuracy", percent(test["accuracy"]), str(interval(test["accuracy"], test["images"])))]
    shown.append(("parameters", grouped(figures["params"]), f"{compact(figures['macs'])} MACs per image"))
    if speed:
        shown.append(("latency here", duration(speed["latency_ms"] / 1000), "batch size 1"))
        batch = f"images/s, batch size {speed['batch_size']}"
        shown.append(("throughput here", f"{speed['images_per_second']:,.0f}", batch))
    return shown


def _warnings(figures: JsonObject) -> list[str]:
    images = [row["images"] for row in figures["test"]["per_class"]]
    few, told = sum(1 for count in images if 0 < count < _FEW), []
    if few:
        told.append(
            f"{few:,} of {len(images):,} classes have fewer than {_FEW} test images, so their accuracy is imprecise."
        )
    if 0 in images:
        told.append(f"{images.count(0):,} of {len(images):,} classes have no test image.")
    return told
