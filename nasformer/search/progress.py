"""ProgressBar: trials done, best value, examples per second, remaining time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from nasformer._console import PlainColumn, PlainConsole
from nasformer.search.evaluation import Trial


class ProgressBar:
    """A progress bar on standard error.

    Args:
        label: Label of the search.
        total: Total number of trials.
        shown: Whether to show it.
        work: Counters of a fitness on examples: ``images`` evaluated so far.
        text: Writes the best value.
        examples: Examples in words.
    """

    def __init__(
        self,
        label: str,
        total: int,
        shown: bool,
        work: Mapping[str, int] | None = None,
        text: Callable[[float], str] = "{:.4g}".format,
        examples: str = "images",
    ) -> None:
        self.columns = (
            PlainColumn("{task.description}"),
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            PlainColumn("best {task.fields[best]}", table_column=Column(no_wrap=True)),
            *([] if work is None else [Speed(work, examples)]),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*self.columns, console=PlainConsole(stderr=True), disable=not shown)
        self._task = self._bar.add_task(label, total=total, best="-")
        self._best, self._text = -math.inf, text

    def update(self, trial: Trial) -> None:
        """Count one trial."""
        if trial.value is not None:
            self._best = max(self._best, trial.value)
        best = self._text(self._best) if math.isfinite(self._best) else "-"
        self._bar.update(self._task, advance=1, best=best)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


class Speed(ProgressColumn):
    """Examples per second, over all architectures."""

    def __init__(self, work: Mapping[str, int], examples: str = "images") -> None:
        super().__init__(Column(no_wrap=True))  # in a narrow terminal the bar gives way
        self._work, self._before, self._examples = work, work.get("images", 0), examples

    def render(self, task: Task) -> Text:
        """Return the mean since the start."""
        seen = self._work.get("images", 0) - self._before
        speed = f"{seen / task.elapsed:,.0f} {self._examples}/s" if seen and task.elapsed else ""
        return Text(speed, style="progress.data.speed")
