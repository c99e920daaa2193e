"""ProgressBar: how far a search is, what it has found, how long it will take."""

from __future__ import annotations

import math
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nasformer.search.evaluation import Trial


class ProgressBar:
    """A bar on standard error; silent where it is not shown.

    Args:
        label: What is searched.
        total: Trials until the end.
        shown: Whether to show it at all.
    """

    def __init__(self, label: str, total: int, shown: bool) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("best {task.fields[best]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), disable=not shown)
        self._task = self._bar.add_task(label, total=total, best="-")
        self._best = -math.inf

    def update(self, trial: Trial) -> None:
        """Count one trial."""
        if trial.value is not None:
            self._best = max(self._best, trial.value)
        self._bar.update(self._task, advance=1, best=f"{self._best:.2f}")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
