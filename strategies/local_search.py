"""Local search: climb from neighbour to better neighbour, and start again where none is better.

White, Nolen & Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021, find it a
strong baseline for NAS. A climb starts from the best of a few random draws and moves to the first neighbour
that is better; at a local optimum the next climb starts. Of a batch, all the neighbours are asked before it moves.
"""

from __future__ import annotations

from collections.abc import Iterator

from nasformer.architecture import Architecture
from nasformer.errors import StrategyError
from nasformer.search import BaseStrategy, Trial
from nasformer.space import FeasibleSet
from nasformer.strategies._neighbours import Neighbours


class LocalSearch(BaseStrategy):
    """Hill climbing with restarts.

    Args:
        feasible: The set to search.
        seed: Of all randomness.
        evaluations: How many architectures the search will look at.
        batch_size: How many are asked at a time.
        starts: Random draws of which a climb starts from the best.

    Attributes:
        optima: Where the climbs so far have ended.
    """

    def __init__(
        self,
        feasible: FeasibleSet,
        *,
        seed: int,
        evaluations: int | None = None,
        batch_size: int = 1,
        starts: int = 50,
    ) -> None:
        super().__init__(feasible, seed=seed, evaluations=evaluations, batch_size=batch_size)
        if not isinstance(starts, int) or starts < 1:
            raise StrategyError(f"starts must be a whole number of at least 1, got {starts!r}", starts)
        self.starts = starts
        self.optima: list[Trial] = []
        self._neighbours = Neighbours(feasible)
        self._begin()

    def _begin(self) -> None:
        self._climb: dict[Architecture, None] = {}
        self._top: Trial | None = None
        self._around: Iterator[Architecture] = iter(())

    def propose(self) -> Architecture:
        """Return a neighbour of the highest point of the climb, or a start."""
        self._move()
        child = self._next_neighbour() if len(self._climb) >= self.starts else None
        if child is None and self._top is not None and len(self._climb) >= self.starts and not self._waiting:
            self.optima.append(self._top)
            self._begin()
        if child is None:
            child = self.draw()  # a start; one more while the last neighbours of a climb are evaluated
        self._climb[child] = None
        return child

    def _move(self) -> None:
        told = [self.told[architecture] for architecture in self._climb if architecture in self.told]
        top = min((trial for trial in told if trial.value is not None), key=lambda trial: trial.rank, default=None)
        if top is not None and top != self._top:
            self._top, self._around = top, self._neighbours.of(top.architecture, self.rng)

    def _next_neighbour(self) -> Architecture | None:
        return next((child for child in self._around if child not in self._asked), None)

    @property
    def _waiting(self) -> bool:
        return any(architecture not in self.told for architecture in self._climb)
