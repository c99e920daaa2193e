"""EnumeratedSet: an explicitly listed feasible set, for fitnesses with a finite domain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasformer.architecture import Architecture
from nasformer.cost import Limits, format_limits
from nasformer.errors import BudgetError
from nasformer.space.codec import Codes
from nasformer.space.feasible import Domain, FeasibleSet
from nasformer.space.fixed import Fixed
from nasformer.space.scores import Scores

if TYPE_CHECKING:
    from nasformer.space.searchspace import SearchSpace


class EnumeratedSet(FeasibleSet):
    """A feasible set of listed architectures.

    Args:
        space: The space; candidates outside it are ignored.
        architectures: The candidates.
        limits: Bounds by cost, additive or not.

    Attributes:
        sparse: Whether the candidates are only a part of the space: most neighbours of a member are none.

    Raises:
        BudgetError: None is within the limits.
    """

    def __init__(self, space: SearchSpace, architectures: Iterable[Architecture], limits: Limits) -> None:
        super().__init__(space, limits)
        members = dict.fromkeys(architecture for architecture in architectures if architecture in space)
        codes = np.unique(space.encode(members), axis=0)  # searches must not depend on the order of a table's rows
        self._listed = frozenset(members)
        self.sparse = len(members) < space.size()
        inside = np.ones(len(codes), dtype=bool)
        for name, (low, high) in limits.items():
            costs = space.codec.cost_batch(name, codes)
            inside &= (costs >= (-np.inf if low is None else low)) & (costs <= (np.inf if high is None else high))
        if not inside.any():
            raise BudgetError(
                f"none of the {len(codes):,} architectures that the fitness knows has {format_limits(limits)}", limits
            )
        self._codes = codes[inside]
        self._codes.setflags(write=False)
        self._members = frozenset(space.decode(self._codes))

    def __contains__(self, architecture: object) -> bool:
        return architecture in self._members

    def evaluable(self, architecture: object) -> bool:
        """Whether an architecture is listed, within the limits or not."""
        return architecture in self._listed

    def count(self) -> int:
        """Return the number of architectures."""
        return len(self._codes)

    def codes(self, limit: int = 1_000_000) -> Codes:
        """Return all codes, as a copy.

        Raises:
            BudgetError: There are more than ``limit``.
        """
        if len(self._codes) > limit:
            raise BudgetError(f"{len(self._codes):,} architectures are more than the limit of {limit:,}", limit)
        return self._codes.copy()

    def nearest(self, architecture: Architecture) -> Iterator[Architecture]:
        """Yield all members by their distance from an architecture of the space, itself first if it is a member.

        The distance is the sum of absolute differences of codes, where layers beyond the depth are -1; ties go to the
        smaller codes.
        """
        steps = np.abs(self._codes - self.space.encode([architecture])).sum(axis=1)
        for row in np.argsort(steps, kind="stable"):
            yield self.space.codec.decode_cached(self._codes[row])

    def _draw(self, n: int, rng: np.random.Generator, per_dimension: bool, fixed: Fixed | None) -> Codes:
        rows = np.arange(len(self._codes))
        if fixed is not None:
            rows = np.flatnonzero(fixed.matches(self.space.codec, self._codes))
            if not len(rows):
                raise BudgetError(f"no known architecture within the limits has {fixed.description}; fix less", fixed)
        weights = self._weights(rows) if per_dimension else None
        drawn: Codes = self._codes[rng.choice(rows, size=n, p=weights)]
        return drawn

    def _weights(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        codec = self.space.codec
        free = [len(dimension.values) for dimension in codec.layer if not dimension.tied]
        depth = np.array(codec.depths)[codec.genes("depth", self._codes)[rows]]
        weights: NDArray[np.float64] = np.exp(-np.log(np.prod(free, initial=1.0)) * (depth - depth.min()))
        normalised: NDArray[np.float64] = weights / weights.sum()
        return normalised

    def _bounds(self, cost: str) -> tuple[float, float]:
        costs = self.space.codec.cost_batch(cost, self._codes).tolist()
        return min(costs), max(costs)

    def reachable(self) -> Domain:
        """Return the values of each dimension that occur."""
        codec = self.space.codec
        occurring = {name: np.unique(codec.genes(name, self._codes)) for name in codec.values}
        return {name: tuple(codec.values[name][i] for i in found if i >= 0) for name, found in occurring.items()}

    def _ranked(self, scores: Scores) -> Iterator[Codes]:
        values = scores.evaluate(self.space.codec, self._codes)
        yield self._codes[int(values.argmax())]
        for at in np.argsort(-values, kind="stable")[1:]:
            yield self._codes[at]
