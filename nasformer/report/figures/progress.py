"""Training curves by epoch: of a network, and of three subnets of a supernet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasformer.report.figures.lines import Line, draw_lines
from nasformer.report.figures.picture import Picture
from nasformer.report.notation import sentence
from nasformer.report.words import say
from nasformer.tasks import Task, task_of

History = Sequence[Mapping[str, Any]]
_SERIES = {"training": 0, "validation": 1, "learning rate": 2}
_SUBNETS = {"smallest": 24, "centroid": 25, "largest": 26}
"""Numbers of curves that are no strategies, where the colours come round."""


def draw_progress(task: Task, history: History, kept: int | None = None) -> list[Picture | None]:
    """Return the curves with at least two known epochs: losses, other validated metrics, learning rate.

    A dashed line marks the epoch of the kept weights, unless it is the last.
    """
    mark = None if not history or kept in (None, history[-1].get("epoch")) else kept
    loss, *others = map(task.metric, sorted(task.objectives, key=lambda name: name != "loss"))
    where = f"on validation {task.examples} (the search split), which are not trained on"
    lines = [_line(history, "training", "train_loss"), _line(history, "validation", "validation", loss.name)]
    drawn = [_curves("loss", loss.heading, lines, say("figure_loss", loss=loss.title, where=where, kept=mark), mark)]
    for metric in others:
        line = _line(history, "validation", "validation", metric.name)
        drawn.append(_curves(metric.name, metric.heading, [line], f"{sentence(metric.title)} {where}.", mark))
    rate = [_line(history, "learning rate", "learning_rate")]
    return [*drawn, _curves("learning-rate", "learning rate", rate, "Learning rate at the end of each epoch.")]


def _curves(name: str, what: str, lines: Sequence[Line], caption: str, mark: int | None = None) -> Picture | None:
    title = f"{sentence(what.partition(',')[0])} by epoch"
    return draw_lines(f"training-{name}", title, caption, lines, _SERIES, x="epoch", y=what, height=2.6, mark=mark)


def _line(history: History, label: str, key: str, inner: str = "") -> Line:
    found = [(int(row["epoch"]), _value(row.get(key), inner)) for row in history if "epoch" in row]
    known = [(epoch, value) for epoch, value in found if value is not None]
    return Line(label, [epoch for epoch, _ in known], [value for _, value in known])


def _value(told: Any, inner: str) -> float | None:
    """Return a number, or the named score of a validation with one network."""
    if inner and isinstance(told, Mapping):
        told = next((scores.get(inner) for scores in told.values() if isinstance(scores, Mapping)), None)
    return float(told) if isinstance(told, (int, float)) else None


def draw_learning_curve(training: Mapping[str, Any]) -> Picture | None:
    """Return the validation of the smallest, centroid and largest subnet; None with fewer than two epochs.

    A dashed line marks the epoch of the kept weights, unless it is the last.
    """
    metric, history = task_of(training.get("data") or {}).objective(), training.get("history") or ()
    known = [(int(row["epoch"]), row["validation"]) for row in history if row.get("validation")]
    mark = training.get("kept") if known and training.get("kept") != known[-1][0] else None
    lines = []
    for net in _SUBNETS:
        own = [(epoch, float(scores[net][metric.name])) for epoch, scores in known if net in scores]
        lines.append(Line(net, [epoch for epoch, _ in own], [value for _, value in own]))
    title, caption = (
        f"Validation {metric.title} of three subnets by epoch",
        say("figure_learning_curve", metric=metric, kept=mark),
    )
    y = f"validation {metric.heading}"
    return draw_lines("learning-curve", title, caption, lines, _SUBNETS, x="epoch", y=y, height=2.6, mark=mark)
