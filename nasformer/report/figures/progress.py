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
    mark = _mark(history, kept)
    loss, *others = map(task.metric, sorted(task.objectives, key=lambda name: name != "loss"))
    where = f"on validation {task.examples} (the search split), which are not trained on"
    lines = [_line(history, "training", "train_loss"), _line(history, "validation", "validation", "", loss.name)]
    drawn = [_curves("loss", loss.heading, lines, say("figure_loss", loss=loss.title, where=where, kept=mark), mark)]
    for metric in others:
        line = _line(history, "validation", "validation", "", metric.name)
        drawn.append(_curves(metric.name, metric.heading, [line], f"{sentence(metric.title)} {where}.", mark))
    rate = [_line(history, "learning rate", "learning_rate")]
    return [*drawn, _curves("learning-rate", "learning rate", rate, "Learning rate at the end of each epoch.")]


def draw_learning_curve(training: Mapping[str, Any]) -> Picture | None:
    """Return the validation of the smallest, centroid and largest subnet; None with fewer than two epochs.

    A dashed line marks the epoch of the kept weights, unless it is the last.
    """
    metric, history = task_of(training.get("data") or {}).objective(), training.get("history") or ()
    mark, title = _mark(history, training.get("kept")), f"Validation {metric.title} of three subnets by epoch"
    lines = [_line(history, net, "validation", net, metric.name) for net in _SUBNETS]
    caption, y = say("figure_learning_curve", metric=metric, kept=mark), f"validation {metric.heading}"
    return draw_lines("learning-curve", title, caption, lines, _SUBNETS, x="epoch", y=y, height=2.6, mark=mark)


def _mark(history: History, kept: int | None) -> int | None:
    return None if not history or kept == history[-1]["epoch"] else kept


def _curves(name: str, what: str, lines: Sequence[Line], caption: str, mark: int | None = None) -> Picture | None:
    title = f"{sentence(what.partition(',')[0])} by epoch"
    return draw_lines(f"training-{name}", title, caption, lines, _SERIES, x="epoch", y=what, height=2.6, mark=mark)


def _line(history: History, label: str, *keys: str) -> Line:
    """Return the known numbers at a path of keys in the rows; an empty key is the first one there."""
    found = [(int(row["epoch"]), _number(row, keys)) for row in history]
    known = [(epoch, value) for epoch, value in found if value is not None]
    return Line(label, [epoch for epoch, _ in known], [value for _, value in known])


def _number(row: Any, keys: Sequence[str]) -> float | None:
    for key in keys:
        row = (row.get(key) if key else next(iter(row.values()), None)) if isinstance(row, Mapping) else None
    return float(row) if isinstance(row, (int, float)) else None
