"""Cases: a feasible set as a union of cases, each with its final sums within the limits.

Given the network choices and the values of tied layer dimensions, an architecture's cost is the stem's plus a sum
over layers; a case is one such choice at one depth. Where a layer's cost is separable over dimensions, as parameters
and MACs are over heads and MLP ratio, each dimension has its own chain, coupled to the others only by the limits
on the final sums (``ends``): AutoFormer-S has 29 by 29 at 14 layers, 32 layers of 8 by 8 choices have 225 by 225.
Dimensions with interacting costs share a chain.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations, product
from math import prod

import numpy as np
from numpy.typing import NDArray

from nasformer.cost import AdditiveCost, Limits, in_counts
from nasformer.errors import BudgetError
from nasformer.space.chain import Chain, Indices, Keep, Product, Steps, Sums
from nasformer.space.codec import Codec, Codes

MAX_ENDS = 2**22
"""Maximal combinations of final sums of one case; more are an error: 32 MiB."""

_JOINT_SUMS = 2**18
"""Above as many combinations of the final sums of three or more chains, two of them are merged."""

_UNBOUNDED = 2**62
Grid = Mapping[str, int]
"""Grid size in counts, by cost; layer costs are rounded up to multiples."""


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """One chain of a layer group, or the product of several.

    Args:
        chains: Indices of the chains.
        dimensions: Indices of the layer dimensions that an option encodes, in row-major order.
        sizes: Number of values of each.
        steps: The chain, or the product chain.
    """

    chains: tuple[int, ...]
    dimensions: tuple[int, ...]
    sizes: tuple[int, ...]
    steps: Steps

    def genes(self, options: Indices) -> dict[int, Indices]:
        """Decode options into value indices by dimension."""
        if len(self.dimensions) == 1:
            return {self.dimensions[0]: options}
        indices = {}
        for dimension, size in zip(self.dimensions[::-1], self.sizes[::-1], strict=True):
            options, indices[dimension] = np.divmod(options, size)  # unravel_index is wrong on long arrays in NumPy 2.4
        return indices

    def merge(self, other: Part) -> Part:
        """Return the product of two parts."""
        together = Product(self.steps, other.steps)
        pair = (self, other)
        chains, dimensions, sizes = (
            sum((getattr(p, key) for p in pair), ()) for key in ("chains", "dimensions", "sizes")
        )
        return Part(chains, dimensions, sizes, together)


@dataclass(frozen=True, eq=False, slots=True)
class LayerGroup:
    """The layer costs given one choice of the network and one value of each tied layer dimension.

    Args:
        network: Choice index of each network dimension.
        choices: Indices of a layer's possible values, by layer dimension.
        stem: Counts of the stem, ``(costs,)``.
        base: Minimum counts of a layer, ``(costs,)``; chains count the excess.
        slack: Maximal rounding error of one layer, ``(costs,)``.
        parts: One per chain.
        chains: One per group of dimensions with interacting costs.
    """

    network: tuple[int, ...]
    choices: tuple[tuple[int, ...], ...]
    stem: NDArray[np.int64]
    base: NDArray[np.int64]
    slack: NDArray[np.int64]
    parts: tuple[Part, ...]
    chains: tuple[Chain, ...]

    @property
    def options(self) -> int:
        """Number of different layers."""
        return prod(len(own) for own in self.choices)

    def merged_parts(self, dimensions: Collection[int] | None = None) -> tuple[Part, ...]:
        """Return the parts, with those that encode any of the dimensions merged; None: merge all."""
        coupled = [p for p in self.parts if dimensions is None or not {*p.dimensions}.isdisjoint(dimensions)]
        rest = [part for part in self.parts if part not in coupled]
        return (*([reduce(Part.merge, coupled)] if coupled else []), *rest)

    def joint_table(self, part: Part, tables: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the outer sum of tables ``(layers, values)`` of a part's dimensions, ``(layers, options)``."""
        return reduce(_outer_sum, (tables[d][:, self.choices[d]] for d in part.dimensions))


def _outer_sum(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    return (one[:, :, None] + other[:, None, :]).reshape(len(one), -1)


@dataclass(frozen=True, eq=False, slots=True)
class Case:
    """The architectures of a layer group at one depth that are within the limits.

    Attributes:
        layer_group: The layer group.
        depth: Choice index of the depth.
        layers: Number of layers.
        ends: Final sums within the limits: indices of each chain's sums, ``(ends,)`` each.
    """

    layer_group: LayerGroup
    depth: int
    layers: int
    ends: tuple[Indices, ...]

    def totals(self) -> Sums:
        """Return the total counts, ``(ends, costs)``."""
        group = self.layer_group
        fixed = group.stem + self.layers * group.base
        return fixed + sum(c.sums(self.layers)[end] for c, end in zip(group.chains, self.ends, strict=True))

    def count(self) -> int:
        """Return the number of architectures, exactly."""
        group = self.layer_group
        exact = object if group.options**self.layers >= 2**62 else np.int64
        ways = [c.counts(self.layers).astype(exact)[e] for c, e in zip(group.chains, self.ends, strict=True)]
        return int(sum(np.multiply.reduce(ways)))

    def ends_of(self, part: Part) -> Indices:
        """Return the final sums as indices of a part's sums, ``(ends,)``."""
        first, *others = part.chains
        index = self.ends[first]
        for chain in others:
            index = index.astype(np.int64) * self.layer_group.chains[chain].size(self.layers) + self.ends[chain]
        return index

    def rows(self, codec: Codec, parts: Sequence[Part], options: Sequence[Indices]) -> Codes:
        """Encode each part's options ``(n, layers)`` as codes."""
        group = self.layer_group
        codes = np.full((len(options[0]), codec.columns), -1, dtype=np.int64)
        codec.genes("depth", codes)[:] = self.depth
        for dimension, index in zip(codec.network, group.network, strict=True):
            codec.genes(dimension.name, codes)[:] = index
        for part, taken in zip(parts, options, strict=True):
            for place, genes in part.genes(taken).items():
                own = np.array(group.choices[place])[genes]
                codec.genes(codec.layer[place].name, codes)[:, : self.layers] = own
        return codes

    def reachable(self) -> dict[int, NDArray[np.int64]]:
        """Return the indices of the values that occur, by layer dimension."""
        group, found = self.layer_group, {}
        for part, chain, end in zip(group.parts, group.chains, self.ends, strict=True):
            # layers are exchangeable: the last one suffices
            taken = np.flatnonzero((chain.predecessor_at(self.layers, np.unique(end)) >= 0).any(axis=0))
            for place, genes in part.genes(taken).items():
                found[place] = np.array(group.choices[place])[np.unique(genes)]
        return found


@dataclass(frozen=True, slots=True)
class CountLimits:
    """Limits as counts ``low`` and ``high``, ``(costs,)`` each; unbounded is +-2**62."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @classmethod
    def of(cls, codec: Codec, limits: Limits) -> CountLimits:
        """Convert limits on additive costs."""
        ends = []
        for name, bounds in limits.items():
            cost = codec.costs[name]
            assert isinstance(cost, AdditiveCost), name
            low, high = in_counts(bounds, cost.scale)
            ends.append((-_UNBOUNDED if low is None else int(low), _UNBOUNDED if high is None else int(high)))
        low_high = np.array(ends, dtype=np.int64).reshape(len(ends), 2)
        return cls(low_high[:, 0], low_high[:, 1])

    def within(self, counts: NDArray[np.int64], slack: NDArray[np.int64] | int = 0) -> NDArray[np.bool_]:
        """Return which counts ``(…, costs)``, rounded up by at most ``slack``, are certainly within, ``(…,)``."""
        return np.asarray(((counts - slack >= self.low) & (counts <= self.high)).all(axis=-1))


def find_layer_groups(codec: Codec, limits: Limits, grid: Grid | None = None) -> Iterator[LayerGroup]:
    """Yield the layer group of each choice of the network and of the tied layer dimensions.

    Args:
        codec: The space's codec.
        limits: Bounds on additive costs.
        grid: Grid size in counts, by cost; None: exact.

    Raises:
        BudgetError: There are too many distinct sums.
    """
    limited = CountLimits.of(codec, limits)
    units = np.array([(grid or {}).get(name, 1) for name in limits], dtype=np.int64)
    network = product(*(range(len(dimension.values)) for dimension in codec.network))
    values = [range(len(dimension.values)) for dimension in codec.layer]
    sets = [[(i,) for i in own] if d.tied else [tuple(own)] for d, own in zip(codec.layer, values, strict=True)]
    for chosen, choices in product(network, product(*sets)):
        yield _layer_group(codec, limits, limited, units, chosen, choices)


def find_cases(codec: Codec, limits: Limits, groups: Iterable[LayerGroup]) -> Iterator[Case]:
    """Yield the non-empty cases of layer groups.

    Raises:
        BudgetError: There are too many distinct sums.
    """
    limited = CountLimits.of(codec, limits)
    for group, (depth, layers) in product(groups, enumerate(codec.depths)):
        ends = _ends(group, layers, limited)
        if len(ends[0]):
            yield Case(group, depth, layers, ends)


def _layer_group(
    codec: Codec,
    limits: Limits,
    limited: CountLimits,
    units: NDArray[np.int64],
    network: tuple[int, ...],
    choices: tuple[tuple[int, ...], ...],
) -> LayerGroup:
    tables = [codec.layers(name)[network][np.ix_(*choices)] for name in limits]
    sizes = tuple(len(own) for own in choices)
    table = np.stack(tables, axis=-1) if tables else np.zeros((*sizes, 0), dtype=np.int64)
    stem = np.array([codec.stems(name)[network] for name in limits], dtype=np.int64)
    base = table.min(axis=tuple(range(len(choices))))
    groups = _separable_axes(table)
    chains, slack = _chains(codec, table, groups, stem, base, limited, units)
    while len(chains) > 2 and prod(chain.size(codec.max_depth) for chain in chains) > _JOINT_SUMS:
        groups = _merge_smallest(groups, chains, codec.max_depth)
        chains, slack = _chains(codec, table, groups, stem, base, limited, units)
    parts = [
        Part((place,), group, tuple(sizes[axis] for axis in group), chain)
        for place, (group, chain) in enumerate(zip(groups, chains, strict=True))
    ]
    return LayerGroup(network, choices, stem, base, slack, tuple(parts), tuple(chains))


def _chains(
    codec: Codec,
    table: NDArray[np.int64],
    groups: Sequence[tuple[int, ...]],
    stem: NDArray[np.int64],
    base: NDArray[np.int64],
    limited: CountLimits,
    units: NDArray[np.int64],
) -> tuple[list[Chain], NDArray[np.int64]]:
    """Return the chain of each group of axes, and the maximal rounding error of one layer, ``(costs,)``."""
    units = np.maximum(units // len(groups), 1)  # so that a layer's total rounding stays within the grid
    steps = [_excess(table, group) for group in groups]
    rounded = [_round_up(step, units) for step in steps]
    slack = sum((up - step).max(axis=0) for up, step in zip(rounded, steps, strict=True))
    chains = []
    for place, (group, step) in enumerate(zip(groups, rounded, strict=True)):
        keep = _keep(codec.depths, stem, base, rounded, place, limited) if len(group) > 1 else None
        chains.append(Chain(step, codec.max_depth, keep))
    return chains, np.asarray(slack)


def _merge_smallest(groups: list[tuple[int, ...]], chains: list[Chain], layers: int) -> list[tuple[int, ...]]:
    """Merge the two groups with the fewest sums into one chain, which has each sum of theirs once."""
    order = sorted(range(len(groups)), key=lambda place: chains[place].size(layers))
    merged = tuple(sorted(groups[order[0]] + groups[order[1]]))
    return sorted([merged, *(groups[place] for place in order[2:])])


def _separable_axes(table: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Group the axes of a table ``(values of each dimension, costs)`` so that it is additive over the groups.

    Two axes interact if a difference along one varies along the other.
    """
    groups = [{axis} for axis in range(table.ndim - 1)]
    for one, other in combinations(range(table.ndim - 1), 2):
        by_one = table - table.take([0], axis=one)
        if (by_one != by_one.take([0], axis=other)).any():
            coupled = [group for group in groups if one in group or other in group]
            groups = [*(group for group in groups if group not in coupled), set().union(*coupled)]
    return sorted(tuple(sorted(group)) for group in groups)


def _excess(table: NDArray[np.int64], group: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the costs of the options of some axes, less their minimum, ``(options, costs)``."""
    at = tuple(slice(None) if axis in group else 0 for axis in range(table.ndim - 1))
    counts = table[at].reshape(prod(table.shape[axis] for axis in group), table.shape[-1])
    return np.asarray(counts - counts.min(axis=0))


def _round_up(counts: NDArray[np.int64], units: NDArray[np.int64]) -> NDArray[np.int64]:
    return -(-counts // units) * units


def _keep(
    depths: tuple[int, ...],
    stem: NDArray[np.int64],
    base: NDArray[np.int64],
    steps: Sequence[NDArray[np.int64]],
    place: int,
    limited: CountLimits,
) -> Keep:
    """Return the pruning rule that keeps sums from which some depth can end within the limits.

    Args:
        depths: Numbers of layers.
        stem: Counts of the stem, ``(costs,)``.
        base: Minimum counts of a layer.
        steps: Excess of each chain's options, ``(options, costs)``.
        place: Which chain is pruned.
        limited: The limits.
    """
    most = steps[place].max(axis=0)
    others = np.asarray(sum(step.max(axis=0) for step in steps) - most)

    def keep(layers: int, sums: Sums) -> NDArray[np.bool_]:
        inside = np.zeros(len(sums), dtype=bool)
        for depth in depths:
            if depth >= layers:
                at_least = stem + depth * base + sums
                enough = at_least + (depth - layers) * most + depth * others >= limited.low
                inside |= (enough & (at_least <= limited.high)).all(axis=1)
        return inside

    return keep


def _ends(group: LayerGroup, layers: int, limited: CountLimits) -> tuple[Indices, ...]:
    """Return the combinations of the chains' final sums that are within the limits."""
    slack, sums = layers * group.slack, [chain.sums(layers) for chain in group.chains]
    counts, ends = group.stem + layers * group.base + sums[0], [np.arange(len(sums[0]), dtype=np.int32)]
    if len(sums) == 1:
        return (ends[0][limited.within(counts, slack)],)
    most = [own.max(axis=0, initial=0) for own in sums] if len(sums) > 2 else []  # nothing follows the last chain
    for place, own in enumerate(sums[1:], start=2):
        if len(counts) * len(own) > MAX_ENDS:
            raise BudgetError(
                f"{len(counts):,} × {len(own):,} sums of {layers} layers are more than {MAX_ENDS:,}; give "
                "feasible(…) or run(…) a resolution={cost: grid}, which reports what it excludes",
                layers,
            )
        rest = sum(most[place:], -slack)
        inside = np.ones((len(counts), len(own)), dtype=bool)
        for cost in range(len(limited.low)):
            total = counts[:, cost, None] + own[:, cost]
            inside &= (total + rest[cost] >= limited.low[cost]) & (total <= limited.high[cost])
        before, here = (index.astype(np.int32) for index in np.nonzero(inside))
        ends = [*(index[before] for index in ends), here]
        counts = counts[before] + own[here] if place < len(sums) else counts
    return tuple(ends)
