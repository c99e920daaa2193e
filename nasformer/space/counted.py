"""CountedSet: a feasible set that is counted, sampled and maximised over without listing it.

It is a union of cases, each of chains of sums; see ``cases``, ``chain``, ``walk`` and
``ranking``. AutoFormer-T at 5-6 M parameters holds 14,475,214 of 1,056,964,608 architectures: drawing until
one fits would throw 98 of 100 away.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nasformer.architecture import Architecture
from nasformer.cost import Bounds, Limits, in_units
from nasformer.errors import BudgetError, did_you_mean
from nasformer.space.cases import Case, LayerGroup, Limited, Part, find_cases, find_layer_groups
from nasformer.space.chain import expand
from nasformer.space.codec import Codes
from nasformer.space.feasible import Domain, FeasibleSet
from nasformer.space.fixed import Fixed
from nasformer.space.nearest import nearest
from nasformer.space.ranking import Best, Track, ranked
from nasformer.space.sampler import Sampler
from nasformer.space.scores import PAIR, Scores, Table

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
        self._groups = list(find_layer_groups(space.codec, limits, self._grid()))
        self._cases = list(find_cases(space.codec, limits, self._groups))
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
        slack = self.space.codec.max_depth * np.max([group.slack for group in self._groups], axis=0)
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
        codec, row = self.space.codec, code[None]
        layers = codec.depths[int(codec.genes("depth", row)[0])]
        network = tuple(int(codec.genes(dimension.name, row)[0]) for dimension in codec.network)
        genes = [codec.genes(dimension.name, row)[0, :layers] for dimension in codec.layer]
        for group in self._groups:
            if group.network == network and all(own[0] in c for own, c in zip(genes, group.choices, strict=True)):
                at = [np.searchsorted(c, own) for own, c in zip(genes, group.choices, strict=True)]
                taken = (np.ravel_multi_index([at[d] for d in p.dimensions], p.sizes) for p in group.parts)
                rounded = sum(c.costs[options].sum(axis=0) for c, options in zip(group.chains, taken, strict=True))
                counts = group.stem + layers * group.least + rounded
                return bool(Limited.of(codec, self.limits).within(counts, layers * group.slack))
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
        parts = case.layer_group.joined()
        paths = [expand(part.steps, case.layers, case.ends_of(part)) for part in parts]
        return case.rows(self.space.codec, parts, paths)

    def _bounds(self, cost: str) -> tuple[float, float]:
        if cost not in self.limits:
            if self.space.known_costs[cost].scale is None:
                raise BudgetError(f"bounds of {cost!r} are not known: it is no sum over layers", cost)
            return CountedSet(self.space, {**self.limits, cost: Bounds(None, None)}, self.resolution).bounds(cost)
        column = list(self.limits).index(cost)
        totals = [case.totals()[:, column] for case in self._cases]
        slack = [case.layers * int(case.layer_group.slack[column]) for case in self._cases]
        least = min(int(total.min()) - most for total, most in zip(totals, slack, strict=True))
        return in_units(least, self._scale(cost)), in_units(max(int(t.max()) for t in totals), self._scale(cost))

    def reachable(self) -> Domain:
        """Return the values of each dimension that occur in some layer of some architecture."""
        codec = self.space.codec
        found: dict[str, set[int]] = {name: set() for name in codec.values}
        for case in self._cases:
            found["depth"].add(case.depth)
            for dimension, index in zip(codec.network, case.layer_group.network, strict=True):
                found[dimension.name].add(index)
            for place, indices in case.reachable().items():
                found[codec.layer[place].name].update(indices.tolist())
        return {name: tuple(codec.values[name][index] for index in sorted(own)) for name, own in found.items()}

    def _ranked(self, scores: Scores) -> Iterator[Codes]:
        codec = self.space.codec
        coupled = () if scores.pair is None else [p for p, d in enumerate(codec.layer) if d.name in PAIR]
        groups = {id(case.layer_group): case.layer_group for case in self._cases}
        walked = {key: self._bests(group, group.joined(coupled), scores) for key, group in groups.items()}
        tracks = []
        for key, case in enumerate(self._cases):
            best = walked[id(case.layer_group)]
            chosen = zip(codec.network, case.layer_group.network, strict=True)
            offset = float(sum(scores.tables[d.name][i] for d, i in chosen) + scores.tables["depth"][case.depth])
            ends = tuple(case.ends_of(part) for part in best)
            tracks.append(Track(key, offset, tuple(best.values()), case.layers, ends))
        for key, options in ranked(tracks):
            case = self._cases[key]
            parts = list(walked[id(case.layer_group)])
            yield case.rows(codec, parts, [option[None] for option in options])[0]

    def _bests(self, group: LayerGroup, parts: Sequence[Part], scores: Scores) -> dict[Part, Best]:
        """Maximise the layers' scores, each dimension alone where costs and scores both allow."""
        codec = self.space.codec
        embed = next(i for d, i in zip(codec.network, group.network, strict=True) if d.name == "embed_dim")
        tables = {place: scores.layer(dimension.name, embed) for place, dimension in enumerate(codec.layer)}
        pair, found = scores.pairs(embed), {}
        for part in parts:
            table = group.joint_table(part, tables)
            names = [codec.layer[place].name for place in part.dimensions]
            if pair is not None and {*PAIR} <= {*names}:
                table = table + self._pair_table(group, part, names, pair)
            found[part] = Best(part.steps, table)
        return found

    def _pair_table(self, group: LayerGroup, part: Part, names: list[str], pair: Table) -> Table:
        """Return scores of pairs by layer and option of a part."""
        heads, ratios = (part.dimensions[names.index(name)] for name in PAIR)
        own = pair[:, group.choices[heads]][:, :, group.choices[ratios]]
        genes = part.genes(np.arange(part.steps.options))
        return np.asarray(own[:, genes[heads], genes[ratios]])
