"""FirstThese: a strategy that asks for given architectures before its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasformer.architecture import Architecture
from nasformer.registry import get_strategy
from nasformer.search import Trial
from nasformer.space import FeasibleSet


class FirstThese:
    """A strategy that asks for given architectures first, and then as another strategy that was told of them."""

    def __init__(
        self,
        feasible: FeasibleSet,
        *,
        seed: int,
        evaluations: int | None = None,
        batch_size: int = 1,
        then: str = "thompson",
        first: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        make = get_strategy(then)
        self.inner = make(feasible, seed=seed, evaluations=evaluations, batch_size=batch_size)
        self._first = [Architecture.from_dict(each) for each in first]

    def __getattr__(self, name: str) -> Any:
        """Return what only the other strategy has, such as ``probes``, ``keeps`` and ``counts``."""
        return getattr(self.__dict__["inner"], name)

    def ask(self, n: int = 1) -> list[Architecture]:
        """Return the next of the given architectures, if any are left, else those of the other strategy."""
        asked, self._first = self._first[:n], self._first[n:]
        return asked or self.inner.ask(n)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Tell the other strategy."""
        self.inner.tell(trials)

    def recommend(self, k: int = 1) -> list[Architecture]:
        """Return what the other strategy recommends."""
        return self.inner.recommend(k)
