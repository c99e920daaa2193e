"""TrialStore: the loop's interface to the storage of trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nasformer.architecture import Architecture
from nasformer.search.evaluation import Trial


@dataclass(frozen=True, slots=True)
class Share:
    """The result of a claim.

    Args:
        mine: Trials for this process to evaluate, without values.
        settled: Finished trials of the batch.
    """

    mine: tuple[Trial, ...]
    settled: tuple[Trial, ...]


class TrialStore(Protocol):
    """Stores trials and shares them between processes."""

    def trials(self) -> list[Trial]:
        """Return the finished trials by number."""
        ...

    def size(self) -> int:
        """Return the number of trials, finished or not, as of the last refresh."""
        ...

    def recorded(self, first: int) -> list[Trial]:
        """Return the stored trials, finished or not, of the batch that starts with a trial."""
        ...

    def claim(self, proposed: Sequence[Trial], whole: bool = False, polling: bool = False) -> Share:
        """Add the missing trials of a batch, and claim a share of the unclaimed ones."""
        ...

    def append(self, architectures: Sequence[Architecture], most: int) -> tuple[Trial, ...]:
        """Add new architectures, up to a total of ``most`` trials, and claim them."""
        ...

    def adopt(self, most: int) -> tuple[Trial, ...]:
        """Claim waiting trials, or those of dead workers."""
        ...

    def tell(self, trial: Trial) -> bool:
        """Store a result durably; return whether it counts."""
        ...
