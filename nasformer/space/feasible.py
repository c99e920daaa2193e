"""FeasibleSet: the architectures of a space that a budget allows, as an exact set.

It is what a strategy searches. Three kinds share this face: ``CountedSet`` counts by dynamic programming
over costs, ``EnumeratedSet`` lists the architectures that a table knows, and ``FilteredSet`` asks, of
each architecture that another set gives, what it costs.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from itertools import islice, product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nasformer.architecture import Architecture, uniform
from nasformer.cost import Limits, format_limits
from nasformer.errors import BudgetError, did_you_mean
from nasformer.space.codec import Codes
from nasformer.space.fixed import Fixed, read_fixed
from nasformer.space.scores import Scores, distance_scores, read_scores

if TYPE_CHECKING:
    from nasformer.space.searchspace import SearchSpace

Prior = Literal["dimensions", "architectures"]
Seed = int | np.random.Generator
Domain = dict[str, tuple[float, ...]]
"""The values of each dimension that occur in a set."""


class FeasibleSet(ABC):
    """The architectures of a space within limits; never empty.

    Attributes:
        space: The space whose members these are.
        limits: Bounds by the name of the cost.
        countable: Whether ``count``, ``codes`` and ``bounds`` answer; only a ``FilteredSet`` may not.
    """

    countable = True

    def __init__(self, space: SearchSpace, limits: Limits) -> None:
        self.space, self.limits = space, dict(limits)

    @abstractmethod
    def count(self) -> int:
        """Return the exact number of architectures."""

    def at_most(self) -> int:
        """Return a number that the architectures are not more than: their count, where it is known."""
        return self.count()

    @abstractmethod
    def codes(self, limit: int = 1_000_000) -> Codes:
        """Return the codes of every architecture, each once.

        Raises:
            BudgetError: There are more than ``limit``.
        """

    @abstractmethod
    def reachable(self) -> Domain:
        """Return the values of each dimension that occur in this set."""

    @abstractmethod
    def _bounds(self, cost: str) -> tuple[float, float]:
        """Return the least and the most of a known cost."""

    @abstractmethod
    def _draw(self, n: int, rng: np.random.Generator, each_dimension: bool, fixed: Fixed | None) -> Codes:
        """Draw codes under one prior or the other, given fixed genes."""

    @abstractmethod
    def _ranked(self, scores: Scores) -> Iterator[Codes]:
        """Yield the code of every architecture, ``(columns,)``, by falling score."""

    def sample(
        self,
        n: int,
        seed: Seed = 0,
        prior: Prior = "dimensions",
        fixed: Mapping[str, Any] | Codes | None = None,
    ) -> list[Architecture]:
        """Draw architectures independently; none is rejected where the costs are additive.

        Args:
            n: How many.
            seed: A number, or a generator to draw from.
            prior: ``"dimensions"``: every choice of the network and of each layer uniform, given that
                the limits hold, as the paper's rejection draws. ``"architectures"``: every
                architecture equally likely, which the deepest dominate.
            fixed: Genes that every draw has; the rest is drawn as the prior has it given these. Values by
                dimension, ``{"embed_dim": 192, "depth": 13, "num_heads": {0: 3, 5: 4}, "mlp_ratio": 4}``, where
                one value is for all layers and a named layer must exist; or one row of codes, -1 for what is
                open.

        Raises:
            BudgetError: No architecture within the limits has what is fixed.
            SpaceError: A dimension, layer or value that the space does not have.
        """
        return self.space.decode(self.sample_codes(n, seed, prior, fixed))

    def sample_codes(
        self,
        n: int,
        seed: Seed = 0,
        prior: Prior = "dimensions",
        fixed: Mapping[str, Any] | Codes | None = None,
    ) -> Codes:
        """Return the codes of ``sample``: ``(n, columns)``."""
        if prior not in ("dimensions", "architectures"):
            raise BudgetError(f"prior is 'dimensions' or 'architectures', got {prior!r}", prior)
        if not isinstance(n, numbers.Integral) or n < 0:
            raise BudgetError(f"n is how many to draw, a whole number of 0 or more, got {n!r}", n)
        if isinstance(seed, numbers.Real) and not (isinstance(seed, numbers.Integral) and seed >= 0):
            raise BudgetError(f"seed is a whole number of 0 or more, or a generator, got {seed!r}", seed)
        given = read_fixed(self.space.codec, fixed)
        return self._draw(int(n), np.random.default_rng(seed), prior == "dimensions", given)

    def __contains__(self, architecture: object) -> bool:
        return (
            isinstance(architecture, Architecture)
            and architecture in self.space
            and all(self.space.codec.cost(name, architecture) in bounds for name, bounds in self.limits.items())
        )

    def __repr__(self) -> str:
        number = f"{self.count():,}" if self.countable else f"at most {self.at_most():,}"
        return f"<{number} of {self.space.size():,} architectures of {self.space.name}: {self.describe()}>"

    def describe(self) -> str:
        """Return the limits as one line."""
        return format_limits(self.limits) or "no limits"

    def bounds(self, cost: str) -> tuple[float, float]:
        """Return the least and the most that a cost takes in this set, in the cost's unit.

        Raises:
            BudgetError: The space knows no such cost, or it cannot be told.
        """
        if cost not in self.space.known_costs:
            raise BudgetError(f"unknown cost {cost!r}; {did_you_mean(cost, self.space.known_costs)}", cost)
        return self._bounds(cost)

    def ranked(self, scores: Mapping[str, Any] | Scores) -> Iterator[Architecture]:
        """Yield every architecture once, by falling score, exactly; each is found when it is asked for.

        Args:
            scores: As ``argmax`` takes them.
        """
        codec = self.space.codec
        for code in self._ranked(read_scores(codec, scores)):
            yield codec.recent(code)

    def best(
        self, scores: Mapping[str, Any] | Scores, k: int, exclude: Collection[Architecture] = ()
    ) -> list[Architecture]:
        """Return the ``k`` architectures with the largest scores, exactly, best first.

        There are fewer only where no more are left.

        Args:
            scores: As ``argmax`` takes them.
            k: How many.
            exclude: Architectures to pass over, such as those asked before; a set is fastest.
        """
        if not isinstance(k, numbers.Integral) or k < 0:
            raise BudgetError(f"k is how many to return, a whole number of 0 or more, got {k!r}", k)
        return list(islice((a for a in self.ranked(scores) if a not in exclude), int(k)))

    def argmax(self, scores: Mapping[str, Any] | Scores) -> Architecture:
        """Return the architecture with the largest additive score, exactly.

        Args:
            scores: Score of each value: ``{"embed_dim": {192: 0.1, …}, "depth": {13: 0.2, …},
                "layers": [{"num_heads": {3: 0.0, …}, "mlp_ratio": {3.5: 0.1, …}, "pair": {(3, 3.5): 0.1, …}},
                …]}``, further dimensions likewise; "pair" is of heads and MLP ratio. Keys may be strings, a pair's
                ``"3,3.5"``; what is left out scores 0. Or a ``Scores``, whose layers may also score differently
                under each embed_dim.

        Raises:
            SpaceError: A value that the space does not have.
        """
        return next(self.ranked(scores))

    def repair(self, architecture: Architecture) -> Architecture:
        """Return the nearest architecture of this set.

        The distance counts steps between neighbouring choices, summed over the dimensions of the network and those
        of the layers that both have; ties go to the smaller choices.
        """
        if architecture in self:
            return architecture
        return self.argmax(distance_scores(self.space.codec, architecture))

    def uniform(self) -> list[Architecture]:
        """Return the members whose layers are all alike and skip nothing, as in plain ViTs, fewest parameters first."""
        codec = self.space.codec
        grid = (dict(zip(codec.values, sizes, strict=True)) for sizes in product(*codec.values.values()))
        whole = (sizes for sizes in grid if sizes["num_heads"] and sizes["mlp_ratio"])
        members = (architecture for sizes in whole if (architecture := uniform(**sizes)) in self)
        return sorted(members, key=self.space.params)
