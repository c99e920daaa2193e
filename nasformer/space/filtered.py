"""FilteredSet: a feasible set under costs that are no sums, by asking and rejecting.

Another set, exact, proposes; a cost such as the measured latency of the whole network disposes. Draws
have the set's prior given all limits, as rejection has; the best by a score is the first of the falling
order that is accepted. Every loop has a cap, and every rejection is counted. Where the set proposed from is
small, the cap is no end: then everything is asked, and draws come from the list.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import islice

import numpy as np

from nasformer.cost import Limits, format_limits
from nasformer.errors import BudgetError, RejectionError
from nasformer.space.codec import Codes
from nasformer.space.enumerated import EnumeratedSet
from nasformer.space.feasible import Domain, FeasibleSet
from nasformer.space.fixed import Fixed
from nasformer.space.scores import Scores

LISTED = 10_000
"""Sets proposed from that are no larger are listed and asked one by one, once a count is asked for."""
MAX_REJECTIONS = 1_000
"""Proposals rejected in a row before a draw or a ranking gives up."""


class FilteredSet(FeasibleSet):
    """The architectures of another set that are within limits on costs of any kind.

    ``count``, ``codes`` and ``bounds`` need the whole list: they ask for every architecture where ``proposed``
    holds at most ``LISTED`` (``countable``), and raise where it holds more. ``at_most`` asks for nothing: it is
    the count of ``proposed`` until there is a list. ``reachable`` is that of ``proposed``, which may be more
    than occurs. What an architecture costs is asked once and remembered by the space.

    Args:
        proposed: The set to propose from.
        limits: Bounds on the further costs; the space knows them.
        max_rejections: Proposals rejected in a row before giving up.

    Raises:
        BudgetError: Nothing was found.

    Attributes:
        asked: Architectures proposed so far.
        rejections: How many of them were outside the limits.
    """

    def __init__(self, proposed: FeasibleSet, limits: Limits, max_rejections: int = MAX_REJECTIONS) -> None:
        super().__init__(proposed.space, {**proposed.limits, **limits})
        self.proposed, self.max_rejections = proposed, max_rejections
        self._further = dict(limits)
        self.asked = self.rejections = 0
        self._probe()

    def _probe(self) -> None:
        """See that there is an architecture at all.

        Raises:
            BudgetError: None was found.
        """
        try:
            self._draw(1, np.random.default_rng(0), True, None)
        except RejectionError:
            if not self.countable:
                raise
            self.count()

    @property
    def countable(self) -> bool:  # type: ignore[override]
        """Whether the whole list is short enough to be asked one by one."""
        return self.proposed.countable and self.proposed.at_most() <= LISTED

    def at_most(self) -> int:
        """Return how many architectures there are where that is known by now, else how many are proposed."""
        return self.count() if "_listed" in self.__dict__ else self.proposed.at_most()

    def count(self) -> int:
        """Return the exact number of architectures.

        Raises:
            BudgetError: There are too many to ask one by one, or there is none.
        """
        return self._listed.count()

    def codes(self, limit: int = 1_000_000) -> Codes:
        """Return the codes of every architecture, each once.

        Raises:
            BudgetError: There are too many to ask one by one, or more than ``limit``.
        """
        return self._listed.codes(limit)

    @cached_property
    def _listed(self) -> EnumeratedSet:
        if not self.countable:
            raise BudgetError(
                f"{self.proposed.at_most():,} architectures are too many to ask for {', '.join(self._further)} one by "
                "one; ask at_most(), or narrow another limit",
                self,
            )
        everything = self.space.decode(self.proposed.codes(LISTED))
        accepted = [architecture for architecture in everything if self._accepts(architecture)]
        if not accepted:
            raise BudgetError(f"none of {len(everything):,} architectures has {format_limits(self._further)}", self)
        return EnumeratedSet(self.space, accepted, {})

    def _accepts(self, architecture: object) -> bool:
        codec = self.space.codec
        return all(codec.cost(name, architecture) in bounds for name, bounds in self._further.items())  # type: ignore[arg-type]

    def __contains__(self, architecture: object) -> bool:
        return architecture in self.proposed and self._accepts(architecture)

    def _bounds(self, cost: str) -> tuple[float, float]:
        return self._listed.bounds(cost)

    def reachable(self) -> Domain:
        """Return the values of each dimension that may occur."""
        return self.proposed.reachable()

    def _draw(self, n: int, rng: np.random.Generator, each_dimension: bool, fixed: Fixed | None) -> Codes:
        def proposals() -> Iterator[Codes]:
            while True:
                yield from self.proposed._draw(max(n, 16), rng, each_dimension, fixed)

        drawn: list[Codes] = []
        try:
            for code in islice(self._filter(proposals(), self.max_rejections), n):
                drawn.append(code)
        except RejectionError:
            if not self.countable:
                raise
            drawn += list(self._listed._draw(n - len(drawn), rng, each_dimension, fixed))
        return np.array(drawn, dtype=np.int64).reshape(n, self.space.codec.columns)

    def _ranked(self, scores: Scores) -> Iterator[Codes]:
        return self._filter(self.proposed._ranked(scores), None if self.countable else self.max_rejections)

    def _filter(self, proposals: Iterator[Codes], most: int | None) -> Iterator[Codes]:
        """Yield the proposals within the limits.

        Raises:
            RejectionError: ``most`` in a row were not.
        """
        in_a_row = 0
        for code in proposals:
            self.asked += 1
            if self._accepts(self.space.decode(code[None])[0]):
                in_a_row = 0
                yield code
                continue
            self.rejections += 1
            in_a_row += 1
            if in_a_row == most:
                raise RejectionError(
                    f"{in_a_row:,} architectures in a row are outside {format_limits(self._further)} "
                    f"({self.rejections:,} of {self.asked:,} asked so far); widen it, or narrow another limit with it",
                    self,
                )
