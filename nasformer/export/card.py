"""Model card of an export: input, output, measured metrics and provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from nasformer.export.formats import get_format
from nasformer.tasks import Task, task_of

_TAGS = {
    "classification": "image-classification",
    "multi-label": "image-classification",
    "regression": "image-regression",
    "forecasting": "time-series-forecasting",
}
"""The hub's tag of each task; it has no pipeline for the regression of images."""

_OUTPUTS = {
    "classification": ("class", "classes"),
    "multi-label": ("label", "labels"),
    "regression": ("number per image", "numbers per image"),
    "forecasting": ("step ahead", "steps ahead"),
}


def model_card(record: Mapping[str, Any]) -> str:
    """Return the Markdown card of an export's ``nasformer.json``."""
    loader = PackageLoader("nasformer.export", package_path="")
    page = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    trainings, task = [*_trainings(record["provenance"])], task_of(record)
    inputs = "images" if record["preprocessing"] else "series"
    words = {
        "task": task,
        "tag": _TAGS.get(task.name) if record["preprocessing"] or task.name == "forecasting" else None,
        "examples": task.examples,
        "number": _number(task),
        "use": get_format(record["format"]).snippet(inputs, task.output),
        "metrics": _metrics(task, record["test"]),
        "fp32": _metrics(task, record.get("against_fp32", {}).get("test", {})),
        "apart": _apart(trainings, record["provenance"]["data"]["fingerprint"], task.examples),
        "before": [_in_short(training) for training in trainings[1:]],
    }
    return page.get_template("card.md.j2").render(**{**record, **words}) + "\n"


def _number(task: Task) -> str:
    """Return the number of outputs in words."""
    one, several = _OUTPUTS.get(task.name, ("output", "outputs"))
    return f"{len(task.outputs)} {one if len(task.outputs) == 1 else several}"


def _metrics(task: Task, test: Mapping[str, Any]) -> str:
    known = (metric for metric in task.metrics if test.get(metric.name) is not None)
    return ", ".join(f"{metric.title} {metric.text(test[metric.name])}" for metric in known)


def _apart(trainings: Sequence[Mapping[str, Any]], data: str | None, examples: str) -> str:
    """State whether the test examples were held out from all trainings of the weights."""
    seen = {training.get("trained_on") for training in trainings}
    if None in seen:
        return f"The training data are not fully recorded: they may include these {examples}."
    if seen != {data}:
        return f"The weights were also trained on other data, which may include these {examples}."
    return "They did not train the network."


def _trainings(provenance: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the record of each training, the last one first."""
    yield provenance
    if "from" in provenance:
        yield from _trainings(provenance["from"])


def _in_short(training: Mapping[str, Any]) -> dict[str, Any]:
    shown = ("training", "weights", "weights_sha256", "trained_on")
    return {key.replace("_", " "): training[key] for key in shown if key in training}
