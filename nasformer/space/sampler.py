"""Sampler: exact sampling from the cases of a counted set under a prior, without rejection.

A draw samples a case, then its final sums, then each chain's choices backwards. Chains are independent, so the
probability of the final sums is the product of their probabilities.
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
class _WeightedCase:
    """A case with its walks and the cumulative probabilities of its final sums, ``(ends,)``."""

    case: Case
    walks: tuple[Walk, ...]
    cumulative: NDArray[np.float64]


class Sampler:
    """Sampler of one set, conditioned on fixed genes.

    Args:
        codec: The space's codec.
        cases: The cases of the set.
        fixed: Genes to condition on; None: none.

    Raises:
        BudgetError: No architecture of the set has the fixed genes.
    """

    def __init__(self, codec: Codec, cases: Sequence[Case], fixed: Fixed | None = None) -> None:
        self._codec = codec
        self._weighted: list[_WeightedCase] = []
        walks: dict[int, tuple[Walk, ...]] = {}
        for case in cases:
            group = case.layer_group
            if fixed is not None and not _is_compatible(codec, case, fixed):
                continue
            if id(group) not in walks:
                walks[id(group)] = _walks(codec, group, fixed)
            self._add(case, walks[id(group)])
        if not self._weighted and fixed is not None:
            raise BudgetError(
                f"no architecture within the limits has {fixed.description}; fix less or widen a limit", fixed
            )
        if not self._weighted:
            raise BudgetError("these limits have too little probability to sample; widen one, or list codes()", cases)

    def _add(self, case: Case, walks: tuple[Walk, ...]) -> None:
        probabilities = [walk.probability(case.layers)[end] for walk, end in zip(walks, case.ends, strict=True)]
        cumulative = np.multiply.reduce(probabilities).cumsum()
        if cumulative[-1] > 0:
            self._weighted.append(_WeightedCase(case, walks, cumulative))

    def draw(self, n: int, rng: np.random.Generator, per_dimension: bool) -> Codes:
        """Draw ``n`` codes.

        Args:
            n: Number of samples.
            rng: Random generator.
            per_dimension: True: uniform genes; False: uniform architectures.
        """
        log = np.array([np.log(weighted.cumulative[-1]) for weighted in self._weighted])
        if not per_dimension:
            log += [weighted.case.layers * np.log(weighted.case.layer_group.options) for weighted in self._weighted]
        weights = np.exp(log - log.max())
        taken = rng.choice(len(self._weighted), size=n, p=weights / weights.sum())
        codes = np.empty((n, self._codec.columns), dtype=np.int64)
        for index in np.unique(taken):
            rows = np.flatnonzero(taken == index)
            codes[rows] = self._draw(self._weighted[index], len(rows), rng)
        return codes

    def _draw(self, weighted: _WeightedCase, n: int, rng: np.random.Generator) -> Codes:
        total = weighted.cumulative[-1]
        last = np.searchsorted(weighted.cumulative, total)  # the last of positive probability, against rounding
        at = np.minimum(np.searchsorted(weighted.cumulative, rng.random(n) * total, side="right"), last)
        case = weighted.case
        drawn = [walk.draw(case.layers, end[at], rng) for walk, end in zip(weighted.walks, case.ends, strict=True)]
        return case.rows(self._codec, case.layer_group.parts, drawn)


def _is_compatible(codec: Codec, case: Case, fixed: Fixed) -> bool:
    """Whether the fixed genes allow the network choices of a case."""
    chosen = zip(codec.network, case.layer_group.network, strict=True)
    return bool(fixed.tables["depth"][case.depth]) and all(fixed.tables[d.name][index] for d, index in chosen)


def _walks(codec: Codec, group: LayerGroup, fixed: Fixed | None) -> tuple[Walk, ...]:
    if fixed is None:
        return tuple(Walk(chain, codec.max_depth) for chain in group.chains)
    excluded = {index: np.where(fixed.tables[d.name], 0.0, -1.0) for index, d in enumerate(codec.layer)}
    return tuple(
        Walk(chain, codec.max_depth, group.joint_table(part, excluded) == 0)
        for part, chain in zip(group.parts, group.chains, strict=True)
    )
