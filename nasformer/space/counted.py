"""CountedSet: a feasible set that is counted, sampled and maximised over without listing it.

It is a union of cases, each a pair of chains of sums or one; see ``cases``, ``chain``, ``walk`` and
``ranking``. AutoFormer-T at 5-6 M parameters holds 14,475,214 of 1,056,964,608 architectures: drawing until
one fits would throw 98 of 100 away.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nasformer.architecture import Architecture
from nasformer.cost import Bounds, Limits, in_units
from nasformer.errors import BudgetError, did_you_mean
from nasformer.space.cases import Case, Layers, Limited, find_cases, find_layers
from nasformer.space.chain import expand
from nasformer.space.codec import Codes
from nasformer.space.feasible import Domain, FeasibleSet
from nasformer.space.fixed import Fixed
from nasformer.space.nearest import nearest
from nasformer.space.ranking import Best, Track, ranked
from nasformer.space.sampler import Sampler
from nasformer.space.scores import Scores

if TYPE_CHECKING:
    from nasformer.space.searchspace import SearchSpace


class CountedSet(FeasibleSet):
    """A feasible set of a whole space, by dynamic programming over additive costs.

    With a ``resolution`` the set is an inner approximation: what a gene adds to a layer's cost is rounded up
    to the grid, so that fewer sums have to be told apart. Every architecture of the set is truly within the
    limits; of those within, the set may lack some whose cost is nearer than ``lost`` to an end, which is at
    most the depth times the grid. All that the set says (count, draws, argmax) is exact for the set itself.

    Args:
        space: The space.
        limits: Bounds by additive cost.
        resolution: Grid by cost, in the cost's unit; None: exact.

    Attributes:
        lost: By cost, how near to an end of its limits architectures may be missing; empty where exact.

    Raises:
        BudgetError: No architecture is within the limits; the message names the nearest cost. Or the sums are
            too many to be told apart; the message names the way out.
    """

    def __init__(self, space: SearchSpace, limits: Limits, resolution: Mapping[str, float] | None = None) -> None:
        super().__init__(space, limits)
        if resolution is not None and not isinstance(resolution, Mapping):
            raise BudgetError(f"resolution is a grid by cost, as {{'macs': 1e6}}, got {resolution!r}", resolution)
        self.resolution = dict(resolution or {})
        self._layers = list(find_layers(space.codec, limits, self._grid()))
        self._cases = list(find_cases(space.codec, limits, self._layers))
        if not self._cases:
            raise BudgetError(self._rounded_away() if resolution else nearest(space, limits), limits)
        self.lost = self._lost()

    def _grid(self) -> dict[str, int]:
        grid: dict[str, int] = {}
        for name, size in self.resolution.items():
            if name not in self.limits:
                raise BudgetError(
                    f"resolution of {name!r}, which has no limit; {did_you_mean(name, self.limits)}", name
                )
            if not isinstance(size, numbers.Real) or not 0 < size < 1e15:
                raise BudgetError(f"the resolution of {name} is a number above 0 and below 1e15, got {size!r}", size)
            grid[name] = max(1, int(size * self._scale(name)))
        return grid

    def _scale(self, cost: str) -> int:
        scale = self.space.known_costs[cost].scale
        assert scale is not None, cost
        return scale

    def _lost(self) -> dict[str, float]:
        slack = self.space.codec.max_depth * np.max([of.slack for of in self._layers], axis=0)
        counts = zip(self.limits, slack.tolist(), strict=True)
        return {name: in_units(count, self._scale(name)) for name, count in counts if count}

    def _rounded_away(self) -> str:
        grid = ", ".join(f"{name} {size:g}" for name, size in self.resolution.items())
        return f"nothing of {self.space.name!r} is left of {self.describe()} at a resolution of {grid}; make it finer"

    def __contains__(self, architecture: object) -> bool:
        if not isinstance(architecture, Architecture) or not super().__contains__(architecture):
            return False
        return not self.lost or self._holds(self.space.encode([architecture])[0])

    def _holds(self, code: Codes) -> bool:
        """Whether the rounded sums of a member are within the limits."""
        codec, layers = self.space.codec, self.space.codec.depth[code[1]]
        genes = [columns(code[None])[0, :layers] for columns in (codec.heads_of, codec.ratios_of)]
        for of in self._layers:
            if of.embed == code[0] and genes[0][0] in of.heads and genes[1][0] in of.ratios:
                at = [np.searchsorted(own, gene) for own, gene in zip((of.heads, of.ratios), genes, strict=True)]
                options = at if len(of.chains) == 2 else [at[0] * len(of.ratios) + at[1]]
                rounded = sum(c.costs[o].sum(axis=0) for c, o in zip(of.chains, options, strict=True))
                counts = of.stem + layers * of.least + rounded
                return bool(Limited.of(codec, self.limits).within(counts, layers * of.slack))
        return False

    def count(self) -> int:
        """Return the exact number of architectures."""
        return self._count

    @cached_property
    def _count(self) -> int:
        return sum(case.count() for case in self._cases)

    @cached_property
    def _sampler(self) -> Sampler:
        return Sampler(self.space.codec, self._cases)

    def _draw(self, n: int, rng: np.random.Generator, each_dimension: bool, fixed: Fixed | None) -> Codes:
        sampler = self._sampler if fixed is None else Sampler(self.space.codec, self._cases, fixed)
        return sampler.draw(n, rng, each_dimension)

    def codes(self, limit: int = 1_000_000) -> Codes:
        """Return every architecture's code.

        Raises:
            BudgetError: There are more than ``limit``.
        """
        if self.count() > limit:
            raise BudgetError(f"{self.count():,} architectures are more than the limit of {limit:,}", limit)
        return np.concatenate([self._list(case) for case in self._cases])

    def _list(self, case: Case) -> Codes:
        return case.rows(self.space.codec, [expand(case.of.pairs, case.layers, case.pair_ends())])

    def _bounds(self, cost: str) -> tuple[float, float]:
        if cost not in self.limits:
            if self.space.known_costs[cost].scale is None:
                raise BudgetError(f"bounds of {cost!r} are not known: it is no sum over layers", cost)
            return CountedSet(self.space, {**self.limits, cost: Bounds(None, None)}, self.resolution).bounds(cost)
        column = list(self.limits).index(cost)
        totals = [case.totals()[:, column] for case in self._cases]
        slack = [case.layers * int(case.of.slack[column]) for case in self._cases]
        least = min(int(total.min()) - most for total, most in zip(totals, slack, strict=True))
        return in_units(least, self._scale(cost)), in_units(max(int(t.max()) for t in totals), self._scale(cost))

    def reachable(self) -> Domain:
        """Return the values of each dimension that occur in some layer of some architecture."""
        codec = self.space.codec
        found: dict[str, set[float]] = {key: set() for key in ("embed_dim", "depth", "num_heads", "mlp_ratio")}
        for case in self._cases:
            heads, ratios = case.reachable()
            found["embed_dim"].add(codec.embed_dim[case.of.embed])
            found["depth"].add(codec.depth[case.depth])
            found["num_heads"].update(codec.num_heads[index] for index in heads)
            found["mlp_ratio"].update(codec.mlp_ratio[index] for index in ratios)
        return {key: tuple(sorted(values)) for key, values in found.items()}

    def _ranked(self, scores: Scores) -> Iterator[Codes]:
        bests = {key: self._bests(of, scores) for key, of in {id(case.of): case.of for case in self._cases}.items()}
        tracks = []
        for key, case in enumerate(self._cases):
            best = bests[id(case.of)]
            ends = case.ends if len(best) == len(case.ends) else (case.pair_ends(),)
            offset = float(scores.embed_dim[case.of.embed] + scores.depth[case.depth])
            tracks.append(Track(key, offset, best, case.layers, ends))
        for key, options in ranked(tracks):
            yield self._cases[key].rows(self.space.codec, [option[None] for option in options])[0]

    def _bests(self, of: Layers, scores: Scores) -> tuple[Best, ...]:
        """Maximise the layers' scores, gene by gene where costs and scores both allow."""
        heads, ratios, pair = scores.layers(of.embed)
        if pair is None and len(of.chains) == 2:
            tables = heads[:, of.heads], ratios[:, of.ratios]
            return tuple(Best(chain, table) for chain, table in zip(of.chains, tables, strict=True))
        table = heads[:, :, None] + ratios[:, None, :] + (0.0 if pair is None else pair)
        return (Best(of.pairs, of.of_pairs(table)),)
