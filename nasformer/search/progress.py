"""ProgressBar: how far a search is, what it has found, how fast images are seen, how long it will take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from nasformer.search.evaluation import Trial


class ProgressBar:
    """A bar on standard error; silent where it is not shown.

    Args:
        label: What is searched.
        total: Trials until the end.
        shown: Whether to show it at all.
        work: Of a fitness that shows images: how many ``images`` it has shown, counted while it does.
    """

    def __init__(self, label: str, total: int, shown: bool, work: Mapping[str, int] | None = None) -> None:
        self.columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("best {task.fields[best]}"),
            *([] if work is None else [Speed(work)]),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*self.columns, console=Console(stderr=True), disable=not shown)
        self._task = self._bar.add_task(label, total=total, best="-")
        self._best = -math.inf

    def update(self, trial: Trial) -> None:
        """Count one trial."""
        if trial.value is not None:
            self._best = max(self._best, trial.value)
        self._bar.update(self._task, advance=1, best=f"{self._best:.4g}")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


class Speed(ProgressColumn):
    """Images a second, those of all architectures together."""

    def __init__(self, work: Mapping[str, int]) -> None:
        super().__init__()
        self._work, self._before = work, work.get("images", 0)

    def render(self, task: Task) -> Text:
        """Return the mean since the start."""
        seen = self._work.get("images", 0) - self._before
        return Text(
            f"{seen / task.elapsed:,.0f} images/s" if seen and task.elapsed else "", style="progress.data.speed"
        )
