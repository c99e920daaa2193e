"""FilteredSet: a feasible set under black-box costs, by rejection sampling.

An exact set proposes; a cost such as the measured latency of the whole network accepts or rejects. Draws follow
the proposal's prior conditioned on all limits; rankings filter the proposal's ranking. Every loop is capped, and
rejections are counted. A small proposal set is enumerated instead when the cap is reached.
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

MAX_LISTED = 10_000
"""Largest proposal set that is enumerated, once a count is needed."""
MAX_REJECTIONS = 1_000
"""Consecutive rejections before a draw or a ranking fails."""


class FilteredSet(FeasibleSet):
    """The architectures of another set within limits on black-box costs.

    ``count``, ``codes`` and ``bounds`` enumerate: they evaluate every architecture of ``proposed`` if it has at most
    ``MAX_LISTED`` (``countable``), and raise if it has more. ``at_most`` evaluates nothing: it is the count of
    ``proposed`` until the set is enumerated. ``reachable`` is that of ``proposed``, a superset. Costs are cached by
    the space.

    Args:
        proposed: The proposal set.
        limits: Bounds on the black-box costs, known to the space.
        max_rejections: Consecutive rejections before failing.

    Raises:
        BudgetError: No architecture was found.

    Attributes:
        asked: Proposals so far.
        rejections: Proposals outside the limits.
    """

    def __init__(self, proposed: FeasibleSet, limits: Limits, max_rejections: int = MAX_REJECTIONS) -> None:
        super().__init__(proposed.space, {**proposed.limits, **limits})
        self.proposed, self.max_rejections = proposed, max_rejections
        self._extra_limits = dict(limits)
        self.asked = self.rejections = 0
        self._check_nonempty()

    def _check_nonempty(self) -> None:
        """Check that the set is not empty.

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
        """Whether the proposal set is small enough to enumerate."""
        return self.proposed.countable and self.proposed.at_most() <= MAX_LISTED

    def at_most(self) -> int:
        """Return the count if enumerated, else the bound of the proposal set."""
        return self.count() if "_listed" in self.__dict__ else self.proposed.at_most()

    def count(self) -> int:
        """Return the exact number of architectures.

        Raises:
            BudgetError: The set is too large to enumerate, or empty.
        """
        return self._listed.count()

    def codes(self, limit: int = 1_000_000) -> Codes:
        """Return the codes of every architecture, each once.

        Raises:
            BudgetError: The set is too large to enumerate, or has more than ``limit``.
        """
        return self._listed.codes(limit)

    @cached_property
    def _listed(self) -> EnumeratedSet:
        if not self.countable:
            raise BudgetError(
                f"{self.proposed.at_most():,} architectures are too many to evaluate {', '.join(self._extra_limits)} "
                "on all; use at_most(), or narrow another limit",
                self,
            )
        candidates = self.space.decode(self.proposed.codes(MAX_LISTED))
        accepted = [architecture for architecture in candidates if self._accepts(architecture)]
        if not accepted:
            raise BudgetError(
                f"none of {len(candidates):,} architectures has {format_limits(self._extra_limits)}", self
            )
        return EnumeratedSet(self.space, accepted, {})

    def _accepts(self, architecture: object) -> bool:
        codec = self.space.codec
        return all(codec.cost(name, architecture) in bounds for name, bounds in self._extra_limits.items())  # type: ignore[arg-type]

    def __contains__(self, architecture: object) -> bool:
        return architecture in self.proposed and self._accepts(architecture)

    def evaluable(self, architecture: object) -> bool:
        """Whether an architecture can be evaluated, within the limits or not."""
        return self.proposed.evaluable(architecture)

    def _bounds(self, cost: str) -> tuple[float, float]:
        return self._listed.bounds(cost)

    def reachable(self) -> Domain:
        """Return the values of each dimension that may occur."""
        return self.proposed.reachable()

    def _draw(self, n: int, rng: np.random.Generator, per_dimension: bool, fixed: Fixed | None) -> Codes:
        def proposals() -> Iterator[Codes]:
            while True:
                yield from self.proposed._draw(max(n, 16), rng, per_dimension, fixed)

        drawn: list[Codes] = []
        try:
            for code in islice(self._filter(proposals(), self.max_rejections), n):
                drawn.append(code)
        except RejectionError:
            if not self.countable:
                raise
            drawn += list(self._listed._draw(n - len(drawn), rng, per_dimension, fixed))
        return np.array(drawn, dtype=np.int64).reshape(n, self.space.codec.columns)

    def _ranked(self, scores: Scores) -> Iterator[Codes]:
        return self._filter(self.proposed._ranked(scores), None if self.countable else self.max_rejections)

    def _filter(self, proposals: Iterator[Codes], most: int | None) -> Iterator[Codes]:
        """Yield the proposals within the limits.

        Raises:
            RejectionError: ``most`` consecutive rejections.
        """
        consecutive = 0
        for code in proposals:
            self.asked += 1
            if self._accepts(self.space.decode(code[None])[0]):
                consecutive = 0
                yield code
                continue
            self.rejections += 1
            consecutive += 1
            if consecutive == most:
                raise RejectionError(
                    f"{consecutive:,} architectures in a row are outside {format_limits(self._extra_limits)} "
                    f"({self.rejections:,} of {self.asked:,} evaluated so far); widen it, or narrow another limit",
                    self,
                )
