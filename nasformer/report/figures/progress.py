"""Progress: a training's loss, accuracy and learning rate, epoch by epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nasformer.report.figures.picture import Picture, Trace, belongs, picture
from nasformer.report.figures.text import label_ends
from nasformer.report.palette import style

History = Sequence[Mapping[str, Any]]
_MARKED_UP_TO = 40


class Line(NamedTuple):
    """A curve over epochs.

    Args:
        label: What it is.
        epochs: Where it is known.
        values: What it is there.
    """

    label: str
    epochs: list[int]
    values: list[float]


def draw_progress(history: History) -> list[Picture]:
    """Return the figures for which two epochs or more are known: losses, validation accuracy, learning rate."""
    loss = [_line(history, "training", "train_loss"), _line(history, "validation", "validation", "loss")]
    accuracy = [_line(history, "validation", "validation", "accuracy")]
    rate = [_line(history, "learning rate", "learning_rate")]
    drawn = (
        _curves(
            "loss",
            "loss, nats",
            loss,
            "Loss of the training's batches, as augmented, mixed and smoothed as the recipe says, and on validation "
            "images, which are shown as they are: the two have no common zero.",
        ),
        _curves(
            "accuracy", "accuracy, %", accuracy, "Accuracy on the validation images (the search split): none trained."
        ),
        _curves("learning-rate", "learning rate", rate, "Learning rate at the end of each epoch."),
    )
    return [figure for figure in drawn if figure is not None]


def _line(history: History, label: str, key: str, inner: str = "") -> Line:
    found = [(int(row["epoch"]), _value(row.get(key), inner)) for row in history if "epoch" in row]
    known = [(epoch, value) for epoch, value in found if value is not None]
    return Line(label, [epoch for epoch, _ in known], [value for _, value in known])


def _value(told: Any, inner: str) -> float | None:
    """Return a number, or what the one network of a validation has under a name."""
    if inner and isinstance(told, Mapping):
        told = next((scores.get(inner) for scores in told.values() if isinstance(scores, Mapping)), None)
    return float(told) if isinstance(told, (int, float)) else None


def _curves(name: str, what: str, lines: Sequence[Line], caption: str) -> Picture | None:
    if max(len(line.epochs) for line in lines) < 2:
        return None
    shown = [line for line in lines if line.epochs]

    def paint(figure: Figure) -> Iterator[Trace]:
        axes = figure.add_subplot()
        for number, line in enumerate(shown):
            _draw(axes, line, number)
        axes.set_xlim(left=0)
        axes.set_xlabel("epoch")
        axes.set_ylabel(what)
        axes.set_ylim(*axes.get_ylim())
        if len(shown) > 1:
            series = {line.label: number for number, line in enumerate(shown)}
            label_ends(axes, {line.label: line.values[-1] for line in shown}, series)
        for number, line in enumerate(shown):
            notes = [f"epoch {epoch}: {value:.5g}" for epoch, value in zip(line.epochs, line.values, strict=True)]
            yield Trace(axes, number, line.label, line.epochs, line.values, notes)

    return picture(f"training-{name}", f"{what.partition(',')[0].capitalize()} by epoch", caption, paint, height=2.6)


def _draw(axes: Axes, line: Line, number: int) -> None:
    look = style(number)
    marker = look.marker if len(line.epochs) <= _MARKED_UP_TO else None
    options: dict[str, Any] = {"color": look.colour, "linestyle": look.line, "linewidth": 1.4, "markersize": 3.5}
    belongs(axes.plot(line.epochs, line.values, marker=marker, **options), number)
