"""Record: what a loop asks of whatever keeps its trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nasformer.architecture import Architecture
from nasformer.search.evaluation import Trial


@dataclass(frozen=True, slots=True)
class Share:
    """What a claim gave.

    Args:
        mine: Trials that this process has to evaluate, without values.
        settled: Trials of the batch that are finished.
    """

    mine: tuple[Trial, ...]
    settled: tuple[Trial, ...]


class TrialStore(Protocol):
    """Where trials are kept as they come, and shared with other processes."""

    def trials(self) -> list[Trial]:
        """Return the finished trials so far, by number."""
        ...

    def size(self) -> int:
        """Return how many trials there are, finished or not, as of the last look."""
        ...

    def recorded(self, first: int) -> list[Trial]:
        """Return the batch that begins with a trial, finished or not, as far as it is on record."""
        ...

    def claim(self, proposed: Sequence[Trial], whole: bool = False, polling: bool = False) -> Share:
        """Propose what is not there yet, and take a part of what nobody evaluates."""
        ...

    def append(self, architectures: Sequence[Architecture], most: int) -> tuple[Trial, ...]:
        """Add architectures that no trial has, until there are so many, and take them."""
        ...

    def adopt(self, most: int) -> tuple[Trial, ...]:
        """Take what waits, or what a worker that has ended left."""
        ...

    def tell(self, trial: Trial) -> bool:
        """Keep a result; once this returns it is not lost. Whether it counts."""
        ...
