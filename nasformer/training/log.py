"""TrainingLog: a JSONL file, a Rich progress bar, and the caller's callback."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from nasformer._io import to_json
from nasformer.errors import CheckpointError
from nasformer.tasks import Metric

FILE = "log.jsonl"
Row = dict[str, Any]
Callback = Callable[[Row], None]
logger = logging.getLogger("nasformer.training")


class TrainingLog:
    """Shows, logs and writes one row per epoch.

    Args:
        folder: Folder of the JSONL file; None: no file.
        epochs: Total number of epochs.
        metric: The validated metric that is shown.
        history: Rows of the completed epochs.
        progress: Whether to show a progress bar.
        callback: Called with each row.
    """

    def __init__(
        self,
        folder: Path | None,
        epochs: int,
        metric: Metric,
        history: Sequence[Row],
        *,
        progress: bool,
        callback: Callback | None,
    ) -> None:
        self.history, self.metric = list(history), metric
        self._path = None if folder is None else folder / FILE
        self._callback = callback
        self._bar = Progress(
            TextColumn("epoch"),
            MofNCompleteColumn(),
            BarColumn(bar_width=12),
            TimeRemainingColumn(),
            TextColumn("{task.description}", table_column=Column(no_wrap=True)),  # a narrow terminal shortens the bar
            console=Console(stderr=True),
            disable=not progress,
        )
        self._task = self._bar.add_task("", total=epochs, completed=len(self.history))

    def __enter__(self) -> TrainingLog:
        self._write("".join(to_json(row) + "\n" for row in self.history), mode="w")
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def add(self, row: Row) -> None:
        """Add the row of a completed epoch."""
        self.history.append(row)
        self._write(to_json(row) + "\n", mode="a")
        validated = [row for row in self.history if "validation" in row][-1:]
        scores = [self.metric.text(each[self.metric.name]) for row in validated for each in row["validation"].values()]
        once = "/".join(scores).replace(f" {self.metric.unit}/", "/")
        shown = f", val {self.metric.title} {once}" if scores else ""
        self._bar.update(self._task, advance=1, description=f"loss {row['train_loss']:.3f}{shown}")
        logger.info("epoch %d: %s", row["epoch"], describe(row, self.metric))
        if self._callback is not None:
            self._callback(row)

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
