"""TrialStore: the evaluations of a search in the order they were made, in memory; a study keeps them on a storage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Self

from nasformer.search.evaluation import Trial
from nasformer.search.state import StrategyState


class TrialStore:
    """The trials of a search.

    Attributes:
        recorded: Trials by number, as first evaluated.
        retried: Further evaluations of failed trials, in order, each with the number of trials told before.
        asynchronous: Whether trials are numbered as they finish, without waiting for the rest of their batch.
    """

    def __init__(self) -> None:
        self.recorded: dict[int, Trial] = {}
        self.retried: list[tuple[Trial, int]] = []
        self.asynchronous = False
        self._reranked: dict[str, list[Trial]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another process lead the search."""

    def add(self, trial: Trial, retried_after: int | None = None) -> None:
        """Store a trial durably; of two with the same number the first counts, or the first retry with a value.

        Args:
            trial: The trial.
            retried_after: For a failed trial evaluated again: the number of trials told before.
        """
        if retried_after is None:
            self.recorded.setdefault(trial.number, trial)
        elif not any(each.number == trial.number and each.value is not None for each, _ in self.retried):
            self.retried.append((trial, retried_after))

    def history(self) -> Iterator[tuple[Trial, int | None]]:
        """Yield each evaluation as ``add`` takes it: the first ones by number, then the further ones."""
        yield from ((self.recorded[number], None) for number in sorted(self.recorded))
        yield from self.retried

    def trials(self) -> list[Trial]:
        """Return the trials by number, each as last evaluated."""
        return list({trial.number: trial for trial, _ in self.history()}.values())

    def set_asynchronous(self) -> None:
        """Make the search asynchronous; cannot be undone."""
        self.asynchronous = True

    def confirm(self, trials: int, judge: Callable[[], Sequence[Trial]], how: str = "") -> tuple[Trial, ...]:
        """Return the confirmation of the first so many trials; a study makes it once for each ``how``."""
        return tuple(judge())

    def state(self) -> StrategyState | None:
        """Return the latest state of the strategy that fits the trials; a search in memory needs none."""
        return None

    def save_state(self, state: StrategyState) -> None:
        """Save the state of the strategy, in place of the former."""

    def reranked(self, key: str) -> list[Trial]:
        """Return the trials that a re-ranker judged (``rerank``)."""
        return list(self._reranked.get(key, ()))

    def add_reranked(self, key: str, trial: Trial) -> None:
        """Store a trial that a re-ranker judged."""
        self._reranked.setdefault(key, []).append(trial)
