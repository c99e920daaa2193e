"""Local search: first-improvement hill climbing with random restarts.

White, Nolen & Savani, "Exploring the Loss Landscape in Neural Architecture Search", UAI 2021, find it a strong
baseline for NAS. Each climb starts from the best of a few random samples and moves to the first better neighbour; a
local optimum triggers a restart. A batch is evaluated in full before the climb moves.
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
        seed: Random seed.
        evaluations: Number of evaluations.
        batch_size: Architectures per ask.
        starts: Random samples per climb, which starts from the best.

    Attributes:
        optima: The local optima found so far.
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
        self._restart()

    def _restart(self) -> None:
        self._visited: dict[Architecture, None] = {}
        self._incumbent: Trial | None = None
        self._unexplored: Iterator[Architecture] = iter(())

    def propose(self) -> Architecture:
        """Return a neighbour of the incumbent, or a random start."""
        self._update_incumbent()
        child = self._next_neighbour() if len(self._visited) >= self.starts else None
        if child is None and self._incumbent is not None and len(self._visited) >= self.starts and not self._pending:
            self.optima.append(self._incumbent)
            self._restart()
        if child is None:
            self.counts["replaced"] += len(self._visited) >= self.starts  # the last neighbours are being evaluated
            child = self.draw()
        self._visited[child] = None
        return child

    def _update_incumbent(self) -> None:
        told = [self.told[architecture] for architecture in self._visited if architecture in self.told]
        top = min((trial for trial in told if trial.value is not None), key=lambda trial: trial.rank, default=None)
        if top is not None and top != self._incumbent:
            self._incumbent, self._unexplored = top, self._neighbours.of(top.architecture, self.rng, self._asked)

    def _next_neighbour(self) -> Architecture | None:
        return next((child for child in self._unexplored if child not in self._asked), None)

    @property
    def _pending(self) -> bool:
        return any(architecture not in self.told for architecture in self._visited)
