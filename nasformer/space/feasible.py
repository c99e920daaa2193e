"""FeasibleSet: the architectures of a space that a budget allows, as an exact set.

It is what a strategy searches. Two kinds share this face: ``CountedSet`` counts by dynamic
programming over costs, ``EnumeratedSet`` lists the architectures that a table knows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nasformer.architecture import Architecture
from nasformer.cost import COSTS, Limits, format_limits
from nasformer.errors import BudgetError, did_you_mean
from nasformer.space.codec import Codes
from nasformer.space.scores import Scores, distance_scores, read_scores

if TYPE_CHECKING:
    from nasformer.space.searchspace import SearchSpace

Prior = Literal["dimensions", "architectures"]
Seed = int | np.random.Generator
Domain = dict[str, tuple[float, ...]]
"""The values of each dimension that occur in a set."""


def check_prior(prior: object) -> None:
    """Refuse what is no prior."""
    if prior not in ("dimensions", "architectures"):
        raise BudgetError(f"prior is 'dimensions' or 'architectures', got {prior!r}", prior)


def check_cost(name: str) -> None:
    """Refuse a cost that no space knows."""
    if name not in COSTS:
        raise BudgetError(f"unknown cost {name!r}; {did_you_mean(name, COSTS)}", name)


class FeasibleSet(ABC):
    """The architectures of a space within limits; never empty.

    Attributes:
        space: The space whose members these are.
        limits: Bounds by the name of the cost.
    """

    def __init__(self, space: SearchSpace, limits: Limits) -> None:
        self.space, self.limits = space, dict(limits)

    @abstractmethod
    def count(self) -> int:
        """Return the exact number of architectures."""

    @abstractmethod
    def sample_codes(self, n: int, seed: Seed = 0, prior: Prior = "dimensions") -> Codes:
        """Return the codes of ``sample``: ``(n, 2 + 2 * max depth)``."""

    @abstractmethod
    def codes(self, limit: int = 1_000_000) -> Codes:
        """Return the codes of every architecture, each once.

        Raises:
            BudgetError: There are more than ``limit``.
        """

    @abstractmethod
    def bounds(self, cost: str) -> tuple[int, int]:
        """Return the least and the most that a cost takes in this set."""

    @abstractmethod
    def reachable(self) -> Domain:
        """Return the values of each dimension that occur in this set."""

    @abstractmethod
    def _argmax(self, scores: Scores) -> Codes:
        """Return the code with the largest score, ``(1, columns)``."""

    def sample(self, n: int, seed: Seed = 0, prior: Prior = "dimensions") -> list[Architecture]:
        """Draw architectures independently; none is rejected.

        Args:
            n: How many.
            seed: A number, or a generator to draw from.
            prior: ``"dimensions"``: depth, embed_dim and every layer's choices uniform, given that
                the limits hold, as the paper's rejection draws. ``"architectures"``: every
                architecture equally likely, which the deepest dominate.
        """
        return self.space.decode(self.sample_codes(n, seed, prior))

    def __contains__(self, architecture: object) -> bool:
        return (
            isinstance(architecture, Architecture)
            and architecture in self.space
            and all(self.space.codec.cost(name, architecture) in bounds for name, bounds in self.limits.items())
        )

    def __repr__(self) -> str:
        return f"<{self.count():,} of {self.space.size():,} architectures of {self.space.name}: {self.describe()}>"

    def describe(self) -> str:
        """Return the limits as one line."""
        return format_limits(self.limits) or "no limits"

    def argmax(self, scores: Mapping[str, Any]) -> Architecture:
        """Return the architecture with the largest additive score, exactly.

        Args:
            scores: Score of each value: ``{"embed_dim": {192: 0.1, …}, "depth": {13: 0.2, …},
                "layers": [{"num_heads": {3: 0.0, …}, "mlp_ratio": {3.5: 0.1, …}}, …]}``. Keys may
                be strings; what is left out scores 0.

        Raises:
            SpaceError: A value that the space does not have.
        """
        return self.space.decode(self._argmax(read_scores(self.space.codec, scores)))[0]

    def repair(self, architecture: Architecture) -> Architecture:
        """Return the nearest architecture of this set.

        The distance counts steps between neighbouring choices, summed over embed_dim, depth, and
        the heads and MLP ratio of the layers that both have; ties go to the smaller choices.
        """
        if architecture in self:
            return architecture
        return self.space.decode(self._argmax(distance_scores(self.space.codec, architecture)))[0]

    def uniform(self) -> list[Architecture]:
        """Return the members whose layers are all alike, as plain ViTs are, fewest parameters first."""
        from itertools import product

        from nasformer.architecture import uniform

        codec = self.space.codec
        grid = product(codec.embed_dim, codec.depth, codec.num_heads, codec.mlp_ratio)
        members = (architecture for sizes in grid if (architecture := uniform(*sizes)) in self)
        return sorted(members, key=self.space.params)


class EnumeratedSet(FeasibleSet):
    """A feasible set given by its architectures, for a fitness that knows only these.

    Args:
        space: The space whose members they are; others are left out.
        architectures: The candidates.
        limits: Bounds by cost.

    Raises:
        BudgetError: None is within the limits.
    """

    def __init__(self, space: SearchSpace, architectures: Iterable[Architecture], limits: Limits) -> None:
        super().__init__(space, limits)
        members = dict.fromkeys(architecture for architecture in architectures if architecture in space)
        codes = np.unique(space.encode(members), axis=0)  # the order of a table's rows must not change a search
        self._costs = {name: space.codec.cost_batch(name, codes) for name in COSTS}
        inside = np.ones(len(codes), dtype=bool)
        for name, (low, high) in limits.items():
            inside &= (self._costs[name] >= (low or 0)) & (self._costs[name] <= (np.inf if high is None else high))
        if not inside.any():
            raise BudgetError(
                f"none of the {len(codes):,} architectures that the fitness knows has {format_limits(limits)}", limits
            )
        self._codes = codes[inside]
        self._costs = {name: values[inside] for name, values in self._costs.items()}
        self._members = frozenset(space.decode(self._codes))

    def __contains__(self, architecture: object) -> bool:
        return architecture in self._members

    def count(self) -> int:
        """Return the number of architectures."""
        return len(self._codes)

    def sample_codes(self, n: int, seed: Seed = 0, prior: Prior = "dimensions") -> Codes:
        """Return the codes of ``sample``."""
        check_prior(prior)
        rng = np.random.default_rng(seed)
        weights = self._weights() if prior == "dimensions" else None
        return self._codes[rng.choice(len(self._codes), size=n, p=weights)]

    def _weights(self) -> NDArray[np.float64]:
        codec = self.space.codec
        free = [len(getattr(codec, key)) for key, tied in codec.tied.items() if not tied]
        depth = np.array(codec.depth)[self._codes[:, 1]]
        weights = np.exp(-np.log(np.prod(free, initial=1.0)) * (depth - depth.min()))
        normalised: NDArray[np.float64] = weights / weights.sum()
        return normalised

    def codes(self, limit: int = 1_000_000) -> Codes:
        """Return every architecture's code."""
        if len(self._codes) > limit:
            raise BudgetError(f"{len(self._codes):,} architectures are more than the limit of {limit:,}", limit)
        return self._codes

    def bounds(self, cost: str) -> tuple[int, int]:
        """Return the least and the most of a cost."""
        check_cost(cost)
        return int(self._costs[cost].min()), int(self._costs[cost].max())

    def reachable(self) -> Domain:
        """Return the values of each dimension that occur."""
        columns = {
            "embed_dim": self._codes[:, 0],
            "depth": self._codes[:, 1],
            "num_heads": self.space.codec.heads_of(self._codes),
            "mlp_ratio": self.space.codec.ratios_of(self._codes),
        }
        return {
            key: tuple(getattr(self.space.codec, key)[index] for index in np.unique(column) if index >= 0)
            for key, column in columns.items()
        }

    def _argmax(self, scores: Scores) -> Codes:
        return self._codes[[int(scores.of(self.space.codec, self._codes).argmax())]]
