"""Sampler: draws from the cases of a counted set, each in proportion to its chance under a prior.

A draw takes a case, then an end of its chains, then walks each chain back; none is thrown away. The chance
of an end is the product of the chances of its sums, since the chains choose independently.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasformer.errors import BudgetError
from nasformer.space.cases import Case, LayerGroup
from nasformer.space.codec import Codec, Codes
from nasformer.space.fixed import Fixed
from nasformer.space.walk import Walk


@dataclass(frozen=True, eq=False, slots=True)
class _Ends:
    """A case with its walks and the running chance of its ends, ``(ends,)``."""

    case: Case
    walks: tuple[Walk, ...]
    running: NDArray[np.float64]


class Sampler:
    """Draws of one set, with the same genes fixed.

    Args:
        codec: Of the space.
        cases: The set.
        fixed: Genes that every draw has; None: none.

    Raises:
        BudgetError: No architecture of the set has them.
    """

    def __init__(self, codec: Codec, cases: Sequence[Case], fixed: Fixed | None = None) -> None:
        self._codec = codec
        self._ends: list[_Ends] = []
        walks: dict[int, tuple[Walk, ...]] = {}
        for case in cases:
            group = case.layer_group
            if fixed is not None and not _may_have(codec, case, fixed):
                continue
            if id(group) not in walks:
                walks[id(group)] = _walks(codec, group, fixed)
            self._add(case, walks[id(group)])
        if not self._ends and fixed is not None:
            raise BudgetError(f"no architecture within the limits has {fixed.words}; fix less or widen a limit", fixed)
        if not self._ends:
            raise BudgetError("these limits are too unlikely to draw within; widen one, or list codes()", cases)

    def _add(self, case: Case, walks: tuple[Walk, ...]) -> None:
        chances = [walk.probability(case.layers)[end] for walk, end in zip(walks, case.ends, strict=True)]
        running = np.multiply.reduce(chances).cumsum()
        if running[-1] > 0:
            self._ends.append(_Ends(case, walks, running))

    def draw(self, n: int, rng: np.random.Generator, each_dimension: bool) -> Codes:
        """Draw ``n`` codes.

        Args:
            n: How many.
            rng: Source of randomness.
            each_dimension: True: every gene uniform; False: every architecture equally likely.
        """
        log = np.array([np.log(ends.running[-1]) for ends in self._ends])
        if not each_dimension:
            log += [ends.case.layers * np.log(ends.case.layer_group.options) for ends in self._ends]
        weights = np.exp(log - log.max())
        taken = rng.choice(len(self._ends), size=n, p=weights / weights.sum())
        codes = np.empty((n, self._codec.columns), dtype=np.int64)
        for index in np.unique(taken):
            rows = np.flatnonzero(taken == index)
            codes[rows] = self._draw(self._ends[index], len(rows), rng)
        return codes

    def _draw(self, ends: _Ends, n: int, rng: np.random.Generator) -> Codes:
        total = ends.running[-1]
        last = np.searchsorted(ends.running, total)  # the last end of any chance: rounding must not pass it
        at = np.minimum(np.searchsorted(ends.running, rng.random(n) * total, side="right"), last)
        case = ends.case
        drawn = [walk.draw(case.layers, end[at], rng) for walk, end in zip(ends.walks, case.ends, strict=True)]
        return case.rows(self._codec, case.layer_group.parts, drawn)


def _may_have(codec: Codec, case: Case, fixed: Fixed) -> bool:
    """Whether the network's choices of a case are among those left open."""
    chosen = zip(codec.network, case.layer_group.network, strict=True)
    return bool(fixed.tables["depth"][case.depth]) and all(fixed.tables[d.name][index] for d, index in chosen)


def _walks(codec: Codec, group: LayerGroup, fixed: Fixed | None) -> tuple[Walk, ...]:
    if fixed is None:
        return tuple(Walk(chain, codec.max_depth) for chain in group.chains)
    closed = {place: np.where(fixed.tables[d.name], 0.0, -1.0) for place, d in enumerate(codec.layer)}
    return tuple(
        Walk(chain, codec.max_depth, group.joint_table(part, closed) == 0)
        for part, chain in zip(group.parts, group.chains, strict=True)
    )
