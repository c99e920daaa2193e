"""TrainingLog: a JSONL file, a progress bar or lines, and the caller's callback."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn
from rich.table import Column

from nasformer._console import PlainColumn, PlainConsole, PlainProgress
from nasformer._io import to_json
from nasformer.errors import CheckpointError
from nasformer.search.progress import Remaining, duration
from nasformer.tasks import Metric

FILE, RECORD = "log.jsonl", "training.json"
Row = dict[str, Any]
Callback = Callable[[Row], None]
logger = logging.getLogger("nasformer.training")
_LINES = 100


class TrainingLog:
    """Shows, logs and writes one row per epoch.

    On a terminal and in a notebook a bar moves with each step; elsewhere there are some hundred lines, one per epoch of
    short trainings.

    Args:
        folder: Folder of the JSONL file; None: no file.
        epochs: Total number of epochs.
        steps: Steps of an epoch.
        metric: The validated metric that is shown.
        history: Rows of the completed epochs.
        progress: Whether to show progress.
        callback: Called with each row.
    """

    def __init__(
        self,
        folder: Path | None,
        epochs: int,
        steps: int,
        metric: Metric,
        history: Sequence[Row],
        *,
        progress: bool,
        callback: Callback | None,
    ) -> None:
        self.history, self.metric, self.epochs, self.steps = list(history), metric, epochs, steps
        self._path = None if folder is None else folder / FILE
        self._callback, self._progress = callback, progress
        self._console = PlainConsole(stderr=True)
        self._has_bar = self._console.is_terminal or self._console.is_jupyter
        self._bar = PlainProgress(
            PlainColumn("epoch {task.fields[epoch]}", table_column=Column(no_wrap=True)),
            BarColumn(bar_width=12),
            Remaining(),
            PlainColumn("{task.description}", table_column=Column(no_wrap=True)),
            shown=progress and self._has_bar,
            console=self._console,
        )
        done = len(self.history)
        self._task = self._bar.add_task(
            "", total=epochs * steps, completed=done * steps, epoch=f"{min(done + 1, epochs)}/{epochs}"
        )

    def __enter__(self) -> TrainingLog:
        self._write("".join(to_json(row) + "\n" for row in self.history), mode="w")
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def announce(self, seconds: float, epoch_seconds: float, limit: str) -> None:
        """Say how long the training will take."""
        if self._progress:
            each = f"{self.epochs} epochs of {self.steps} steps, {duration(epoch_seconds)} each"
            self._console.print(f"about {duration(seconds)}: {each}{limit}", soft_wrap=True)

    def step(self) -> None:
        """Advance by a step."""
        self._bar.advance(self._task)

    def add(self, row: Row) -> None:
        """Add the row of a completed epoch."""
        self.history.append(row)
        self._write(to_json(row) + "\n", mode="a")
        validated = [row for row in self.history if "validation" in row][-1:]
        scores = [self.metric.text(each[self.metric.name]) for row in validated for each in row["validation"].values()]
        once = "/".join(scores).replace(f" {self.metric.unit}/", "/")
        shown = f", val {self.metric.title} {once}" if scores else ""
        epoch = f"{min(row['epoch'] + 1, self.epochs)}/{self.epochs}"
        self._bar.update(self._task, description=f"loss {row['train_loss']:.3f}{shown}", epoch=epoch)
        logger.info("epoch %d: %s", row["epoch"], describe(row, self.metric))
        every = -(-self.epochs // _LINES)
        if self._progress and not self._has_bar and (row["epoch"] % every == 0 or "validation" in row):
            words = f"epoch {row['epoch']}/{self.epochs}: {describe(row, self.metric)}, {duration(row['seconds'])}"
            self._console.print(words, soft_wrap=True)
        if self._callback is not None:
            self._callback(row)

    def stop(self, row: Row) -> None:
        """Write the row of an epoch that diverged."""
        self._write(to_json(row) + "\n", mode="a")

    def _write(self, text: str, mode: str) -> None:
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open(mode) as file:
                file.write(text)
        except OSError as error:
            raise CheckpointError(f"cannot write {self._path}: {error.strerror}", self._path) from error


def describe(row: Mapping[str, Any], metric: Metric) -> str:
    """Return a row in brief.

    >>> from nasformer.tasks import get_task
    >>> accuracy = get_task("classification").metrics[0]
    >>> describe({"epoch": 3, "train_loss": 0.5, "validation": {"smallest": {"accuracy": 91.5}}}, accuracy)
    'loss 0.500, top-1 accuracy: smallest 91.50 %'
    """
    scores = [f"{name} {metric.text(each[metric.name])}" for name, each in row.get("validation", {}).items()]
    return f"loss {row['train_loss']:.3f}{f', {metric.title}: ' if scores else ''}{', '.join(scores)}"
