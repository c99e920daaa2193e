"""ProgressBar: trials done, best value, examples per second, remaining time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from nasformer._console import PlainColumn, PlainProgress
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
            Remaining(),
        )
        self._bar = PlainProgress(*self.columns, shown=shown)
        self._task = self._bar.add_task(label, total=total, best="-")
        self._best, self._text = -math.inf, text

    def update(self, trial: Trial) -> None:
        """Count one trial."""
        if trial.value is not None and not trial.probe:
            self._best = max(self._best, trial.value)
        best = self._text(self._best) if math.isfinite(self._best) else "-"
        self._bar.update(self._task, advance=1, best=best)

    def candidate(self, number: int, total: int) -> None:
        """Show which candidate is re-ranked."""
        self._bar.update(self._task, description=f"candidate {number} of {total}")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


class Remaining(ProgressColumn):
    """Remaining time by the mean speed since the start: Rich's own forgets steps older than 30 s."""

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True))
        self._begun: dict[int, float] = {}

    def render(self, task: Task) -> Text:
        """Return it as text; empty until something is done, and when all is."""
        begun = self._begun.setdefault(task.id, task.completed)
        done, elapsed = task.completed - begun, task.elapsed
        if not done or not elapsed or not task.remaining:
            return Text("")
        return Text(f"{duration(elapsed / done * task.remaining)} left", style="progress.remaining")


def duration(seconds: float) -> str:
    """Return a time in its natural unit.

    >>> duration(0.0042), duration(3.14), duration(125), duration(7260)
    ('4.2 ms', '3.1 s', '2 min 05 s', '2 h 01 min')
    """
    if seconds < 1:
        return f"{1000 * seconds:.2g} ms" if seconds < 0.0995 else f"{1000 * seconds:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min {int(seconds % 60):02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


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
