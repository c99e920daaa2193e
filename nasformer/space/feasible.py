"""FeasibleSet: the exact set of a space's architectures within a budget; the domain of every search.

``CountedSet`` counts by dynamic programming over additive costs, ``EnumeratedSet`` lists a table's architectures,
and ``FilteredSet`` evaluates black-box costs on the architectures of another set.
"""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from itertools import islice, product
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nasformer._html import html_table
from nasformer._io import grouped
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
    """The non-empty set of a space's architectures within limits.

    Attributes:
        space: The space.
        limits: Bounds by cost.
        countable: Whether ``count``, ``codes`` and ``bounds`` are available; only False for a ``FilteredSet``.
        sparse: Whether it lacks neighbours for being listed: an ``EnumeratedSet`` of a part of the space.
    """

    countable = True
    sparse = False

    def __init__(self, space: SearchSpace, limits: Limits) -> None:
        self.space, self.limits = space, dict(limits)

    @abstractmethod
    def count(self) -> int:
        """Return the exact number of architectures."""

    def at_most(self) -> int:
        """Return an upper bound of the count; the count itself if known."""
        return self.count()

    @abstractmethod
    def codes(self, limit: int = 1_000_000) -> Codes:
        """Return the codes of all architectures.

        Raises:
            BudgetError: There are more than ``limit``.
        """

    @abstractmethod
    def reachable(self) -> Domain:
        """Return the values of each dimension that occur."""

    @abstractmethod
    def _bounds(self, cost: str) -> tuple[float, float]:
        """Return the minimum and maximum of a known cost."""

    @abstractmethod
    def _draw(self, n: int, rng: np.random.Generator, per_dimension: bool, fixed: Fixed | None) -> Codes:
        """Draw codes under either prior, conditioned on fixed genes."""

    @abstractmethod
    def _ranked(self, scores: Scores) -> Iterator[Codes]:
        """Yield all codes ``(columns,)`` by descending score."""

    def sample(
        self,
        n: int,
        seed: Seed = 0,
        prior: Prior = "dimensions",
        fixed: Mapping[str, Any] | Codes | None = None,
    ) -> list[Architecture]:
        """Draw independent samples, without rejection if the costs are additive.

        Args:
            n: Number of samples.
            seed: A seed, or a generator.
            prior: ``"dimensions"``: each choice of the network and of each layer uniform, conditioned on the
                limits, as in the paper's rejection sampling. ``"architectures"``: uniform over architectures,
                dominated by the deepest.
            fixed: Genes to condition on. Values by dimension, ``{"embed_dim": 192, "depth": 13, "num_heads":
                {0: 3, 5: 4}, "mlp_ratio": 4}``, where a single value holds for all layers and named layers must
                exist; or one row of codes, -1 for free genes.

        Raises:
            BudgetError: No architecture within the limits has the fixed genes.
            SpaceError: An unknown dimension, layer or value.
        """
        return self.space.decode(self.sample_codes(n, seed, prior, fixed))

    def sample_codes(
        self,
        n: int,
        seed: Seed = 0,
        prior: Prior = "dimensions",
        fixed: Mapping[str, Any] | Codes | None = None,
    ) -> Codes:
        """``sample`` as codes ``(n, columns)``."""
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

    def evaluable(self, architecture: object) -> bool:
        """Whether an architecture can be evaluated, within the limits or not: of a table, whether it is listed."""
        return architecture in self.space

    def __repr__(self) -> str:
        number = grouped(self.count()) if self.countable else f"at most {grouped(self.at_most())}"
        return f"<{number} of {grouped(self.space.size())} architectures of {self.space.name}: {self.describe()}>"

    def _repr_html_(self) -> str:
        number = grouped(self.count()) if self.countable else f"at most {grouped(self.at_most())}"
        rows = {"limits": self.describe(), "architectures": f"{number} of {grouped(self.space.size())}"}
        return html_table(f"Feasible set of {self.space.name}", rows)

    def describe(self) -> str:
        """Return the limits as one line."""
        return format_limits(self.limits) or "no limits"

    def bounds(self, cost: str) -> tuple[float, float]:
        """Return the minimum and maximum of a cost over this set, in the cost's unit.

        Raises:
            BudgetError: The cost is unknown, or cannot be bounded.
        """
        if cost not in self.space.known_costs:
            raise BudgetError(f"unknown cost {cost!r}; {did_you_mean(cost, self.space.known_costs)}", cost)
        return self._bounds(cost)

    def ranked(self, scores: Mapping[str, Any] | Scores) -> Iterator[Architecture]:
        """Yield all architectures lazily by descending score, exactly.

        Args:
            scores: As in ``argmax``.
        """
        codec = self.space.codec
        for code in self._ranked(read_scores(codec, scores)):
            yield codec.decode_cached(code)

    def best(
        self, scores: Mapping[str, Any] | Scores, k: int, exclude: Collection[Architecture] = ()
    ) -> list[Architecture]:
        """Return the exact top ``k`` architectures, best first; fewer only if the set is exhausted.

        Args:
            scores: As in ``argmax``.
            k: Number of architectures.
            exclude: Architectures to skip, such as those already asked; a set is fastest.
        """
        if not isinstance(k, numbers.Integral) or k < 0:
            raise BudgetError(f"k is how many to return, a whole number of 0 or more, got {k!r}", k)
        return list(islice((a for a in self.ranked(scores) if a not in exclude), int(k)))

    def argmax(self, scores: Mapping[str, Any] | Scores) -> Architecture:
        """Return the exact maximiser of an additive score.

        Args:
            scores: Score of each value: ``{"embed_dim": {192: 0.1, …}, "depth": {13: 0.2, …},
                "layers": [{"num_heads": {3: 0.0, …}, "mlp_ratio": {3.5: 0.1, …}, "pair": {(3, 3.5): 0.1, …}},
                …]}``, further dimensions likewise; "pair" scores heads and MLP ratio jointly. Keys may be strings,
                a pair's ``"3,3.5"``; the default score is 0. Or a ``Scores``, whose layer scores may depend on
                embed_dim.

        Raises:
            SpaceError: An unknown value.
        """
        return next(self.ranked(scores))

    def repair(self, architecture: Architecture) -> Architecture:
        """Return the nearest architecture of this set.

        The distance is the number of steps between neighbouring choices, summed over the network dimensions and the
        layers that both have; ties go to the smaller choices.
        """
        if architecture in self:
            return architecture
        return self.argmax(distance_scores(self.space.codec, architecture))

    def uniform(self) -> list[Architecture]:
        """Return the members with identical layers and no skipped branch, as in plain ViTs, by ascending parameters."""
        codec = self.space.codec
        grid = (dict(zip(codec.values, sizes, strict=True)) for sizes in product(*codec.values.values()))
        whole = (sizes for sizes in grid if sizes["num_heads"] and sizes["mlp_ratio"])
        members = (architecture for sizes in whole if (architecture := uniform(**sizes)) in self)
        return sorted(members, key=self.space.params)

    def largest_uniform(self) -> Architecture:
        """Return the uniform member of most multiply-accumulates: the rival of a search that takes no search.

        Raises:
            BudgetError: There is none.
        """
        if not (members := self.uniform()):
            raise BudgetError(
                f"no uniform ViT of {self.space.name} meets {self.describe()}; take a larger budget", self
            )
        return max(members, key=self.space.macs)
