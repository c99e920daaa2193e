"""CountedSet: a feasible set with exact counting, sampling and maximisation, without enumeration.

It is a union of cases, each a set of chains of sums; see ``cases``, ``chain``, ``walk`` and ``ranking``.
AutoFormer-T at 5-6 M parameters holds 14,475,214 of 1,056,964,608 architectures: rejection sampling would
discard 98 of 100.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from nasformer._io import grouped
from nasformer.architecture import Architecture
from nasformer.cost import Bounds, Limits, in_units
from nasformer.errors import BudgetError, did_you_mean
from nasformer.space.cases import Case, CountLimits, LayerGroup, Part, find_cases, find_layer_groups
from nasformer.space.chain import expand
from nasformer.space.codec import Codes
from nasformer.space.feasible import Domain, FeasibleSet
from nasformer.space.fixed import Fixed
from nasformer.space.nearest import nearest
from nasformer.space.ranking import MaxSums, PathSet, ranked
from nasformer.space.sampler import Sampler
from nasformer.space.scores import PAIR, Scores, Table

if TYPE_CHECKING:
    from nasformer.space.searchspace import SearchSpace


class CountedSet(FeasibleSet):
    """A feasible set of a whole space, by dynamic programming over additive costs.

    With a ``resolution`` the set is an inner approximation: each gene's contribution to a layer's cost is rounded
    up to the grid, which leaves fewer distinct sums. Every architecture of the set is within the limits; feasible
    ones whose cost is closer than ``lost`` to a bound may be missing, where ``lost`` is at most the depth times the
    grid. Count, draws and argmax are exact for the set itself.

    Args:
        space: The space.
        limits: Bounds by additive cost.
        resolution: Grid by cost, in the cost's unit; None: exact.

    Attributes:
        lost: By cost, the distance to a bound within which architectures may be missing; empty if exact.

    Raises:
        BudgetError: No architecture is within the limits; the message names the nearest cost. Or there are too
            many distinct sums; the message names the way out.
    """

    def __init__(self, space: SearchSpace, limits: Limits, resolution: Mapping[str, float] | None = None) -> None:
        super().__init__(space, limits)
        if resolution is not None and not isinstance(resolution, Mapping):
            raise BudgetError(f"resolution is a grid by cost, as {{'macs': 1e6}}, got {resolution!r}", resolution)
        self.resolution = dict(resolution or {})
        self._groups = list(find_layer_groups(space.codec, limits, self._grid()))
        self._cases = list(find_cases(space.codec, limits, self._groups))
        if not self._cases:
            raise BudgetError(self._empty_message() if resolution else nearest(space, limits), limits)
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

    def _empty_message(self) -> str:
        grid = ", ".join(f"{name} {size:g}" for name, size in self.resolution.items())
        return f"{self.space.name!r} has nothing left within {self.describe()} at resolution {grid}; make it finer"

    def __contains__(self, architecture: object) -> bool:
        if not isinstance(architecture, Architecture) or not super().__contains__(architecture):
            return False
        return not self.lost or self._contains_rounded(self.space.encode([architecture])[0])

    def _contains_rounded(self, code: Codes) -> bool:
        """Whether a member's rounded sums are within the limits."""
        codec, row = self.space.codec, code[None]
        layers = codec.depths[int(codec.genes("depth", row)[0])]
        network = tuple(int(codec.genes(dimension.name, row)[0]) for dimension in codec.network)
        genes = [codec.genes(dimension.name, row)[0, :layers] for dimension in codec.layer]
        for group in self._groups:
            if group.network == network and all(own[0] in c for own, c in zip(genes, group.choices, strict=True)):
                at = [np.searchsorted(c, own) for own, c in zip(genes, group.choices, strict=True)]
                taken = (np.ravel_multi_index([at[d] for d in p.dimensions], p.sizes) for p in group.parts)
                rounded = sum(c.costs[options].sum(axis=0) for c, options in zip(group.chains, taken, strict=True))
                counts = group.stem + layers * group.base + rounded
                return bool(CountLimits.of(codec, self.limits).within(counts, layers * group.slack))
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

    def _draw(self, n: int, rng: np.random.Generator, per_dimension: bool, fixed: Fixed | None) -> Codes:
        sampler = self._sampler if fixed is None else Sampler(self.space.codec, self._cases, fixed)
        return sampler.draw(n, rng, per_dimension)

    def codes(self, limit: int = 1_000_000) -> Codes:
        """Return every architecture's code.

        Raises:
            BudgetError: There are more than ``limit``.
        """
        if self.count() > limit:
            raise BudgetError(f"{grouped(self.count())} architectures are more than the limit of {limit:,}", limit)
        return np.concatenate([self._list(case) for case in self._cases])

    def _list(self, case: Case) -> Codes:
        parts = case.layer_group.merged_parts()
        paths = [expand(part.steps, case.layers, case.ends_of(part)) for part in parts]
        return case.rows(self.space.codec, parts, paths)

    def _bounds(self, cost: str) -> tuple[float, float]:
        if cost not in self.limits:
            if self.space.known_costs[cost].scale is None:
                raise BudgetError(f"bounds of {cost!r} are unknown: it is not a sum over layers", cost)
            return CountedSet(self.space, {**self.limits, cost: Bounds(None, None)}, self.resolution).bounds(cost)
        column = list(self.limits).index(cost)
        totals = [case.totals()[:, column] for case in self._cases]
        slack = [case.layers * int(case.layer_group.slack[column]) for case in self._cases]
        least = min(int(total.min()) - most for total, most in zip(totals, slack, strict=True))
        return in_units(least, self._scale(cost)), in_units(max(int(t.max()) for t in totals), self._scale(cost))

    def reachable(self) -> Domain:
        """Return the values of each dimension that occur."""
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
        maxima = {key: self._maximise(group, group.merged_parts(coupled), scores) for key, group in groups.items()}
        path_sets = []
        for key, case in enumerate(self._cases):
            maximum = maxima[id(case.layer_group)]
            chosen = zip(codec.network, case.layer_group.network, strict=True)
            offset = float(sum(scores.tables[d.name][i] for d, i in chosen) + scores.tables["depth"][case.depth])
            ends = tuple(case.ends_of(part) for part in maximum)
            path_sets.append(PathSet(key, offset, tuple(maximum.values()), case.layers, ends))
        for key, options in ranked(path_sets):
            case = self._cases[key]
            parts = list(maxima[id(case.layer_group)])
            yield case.rows(codec, parts, [option[None] for option in options])[0]

    def _maximise(self, group: LayerGroup, parts: Sequence[Part], scores: Scores) -> dict[Part, MaxSums]:
        """Maximise the layer scores, separately per dimension if both costs and scores are separable."""
        codec = self.space.codec
        embed = next(i for d, i in zip(codec.network, group.network, strict=True) if d.name == "embed_dim")
        tables = {place: scores.layer(dimension.name, embed) for place, dimension in enumerate(codec.layer)}
        pair, found = scores.pairs(embed), {}
        for part in parts:
            table = group.joint_table(part, tables)
            names = [codec.layer[place].name for place in part.dimensions]
            if pair is not None and {*PAIR} <= {*names}:
                table = table + self._pair_table(group, part, names, pair)
            found[part] = MaxSums(part.steps, table)
        return found

    def _pair_table(self, group: LayerGroup, part: Part, names: list[str], pair: Table) -> Table:
        """Return the pair scores of a part, ``(layers, options)``."""
        heads, ratios = (part.dimensions[names.index(name)] for name in PAIR)
        own = pair[:, group.choices[heads]][:, :, group.choices[ratios]]
        genes = part.genes(np.arange(part.steps.options))
        return np.asarray(own[:, genes[heads], genes[ratios]])
