"""Cases: a space under limits, as sums of layers that end within them.

Given the network's choices and the values of dimensions that all layers share, an architecture's cost is the
stem's plus a sum over layers, so a feasible set is a union over such cases. Where a layer's cost is a sum over
dimensions, as parameters and MACs are over heads and MLP ratio, the choices of each dimension in all layers make a
chain of sums of their own, independent but for the limits at their ends: AutoFormer-S has 29 by 29 ends at 14 layers,
and 32 layers of 8 by 8 choices 225 by 225. Dimensions whose costs depend on each other make one chain together.
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
"""Most combinations of sums that one case may end in before exactness is refused: 32 MiB."""

_UNBOUNDED = 2**62
Grid = Mapping[str, int]
"""By cost, the counts that layer costs are rounded up to."""


@dataclass(frozen=True, eq=False, slots=True)
class Part:
    """Chains of a layer group that are walked as one.

    Args:
        chains: Their places among the chains.
        dimensions: Places of the layer dimensions that an option decides, the last the fastest.
        sizes: How many values each of these has.
        steps: The chain, or the product of several.
    """

    chains: tuple[int, ...]
    dimensions: tuple[int, ...]
    sizes: tuple[int, ...]
    steps: Steps

    def genes(self, options: Indices) -> dict[int, Indices]:
        """Turn options into places among the values of each dimension."""
        places = {}
        for dimension, size in zip(self.dimensions[::-1], self.sizes[::-1], strict=True):
            options, places[dimension] = np.divmod(options, size)  # unravel_index errs on long arrays in NumPy 2.4
        return places

    def join(self, other: Part) -> Part:
        """Return the two as one."""
        together = Product(self.steps, other.steps)
        pair = (self, other)
        chains, dimensions, sizes = (
            sum((getattr(p, key) for p in pair), ()) for key in ("chains", "dimensions", "sizes")
        )
        return Part(chains, dimensions, sizes, together)


@dataclass(frozen=True, eq=False, slots=True)
class LayerGroup:
    """The sums of the layers of one choice of the network and one value of each shared dimension.

    Args:
        network: Index of the choice of each network dimension.
        choices: Indices of the values that each layer may take, by layer dimension.
        stem: Counts of all that is no layer, ``(costs,)``.
        least: Counts that every layer has, whatever its choices, ``(costs,)``.
        slack: Counts that one layer may have been rounded up by, ``(costs,)``.
        parts: One for each chain.
        chains: Of the layer dimensions whose costs depend on each other, or of one alone.
    """

    network: tuple[int, ...]
    choices: tuple[tuple[int, ...], ...]
    stem: NDArray[np.int64]
    least: NDArray[np.int64]
    slack: NDArray[np.int64]
    parts: tuple[Part, ...]
    chains: tuple[Chain, ...]

    @property
    def options(self) -> int:
        """What one layer may be."""
        return prod(len(own) for own in self.choices)

    def joined(self, dimensions: Collection[int] | None = None) -> tuple[Part, ...]:
        """Return the parts, those that decide any of some dimensions as one; None: all as one."""
        coupled = [p for p in self.parts if dimensions is None or not {*p.dimensions}.isdisjoint(dimensions)]
        rest = [part for part in self.parts if part not in coupled]
        return (*([reduce(Part.join, coupled)] if coupled else []), *rest)

    def joint_table(self, part: Part, tables: Mapping[int, NDArray[np.float64]]) -> NDArray[np.float64]:
        """Return the sum of tables ``(layers, values)`` by dimension as one by layer and option of a part."""
        return reduce(_outer_sum, (tables[d][:, self.choices[d]] for d in part.dimensions))


def _outer_sum(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    return (one[:, :, None] + other[:, None, :]).reshape(len(one), -1)


@dataclass(frozen=True, eq=False, slots=True)
class Case:
    """The architectures of a layer group at one depth that are within the limits.

    ``ends`` are indices of the chains' sums, one array for each chain, ``(ends,)``.
    """

    layer_group: LayerGroup
    depth: int
    layers: int
    ends: tuple[Indices, ...]

    def totals(self) -> Sums:
        """Return the counts at the ends, ``(ends, costs)``."""
        group = self.layer_group
        fixed = group.stem + self.layers * group.least
        return fixed + sum(c.sums(self.layers)[end] for c, end in zip(group.chains, self.ends, strict=True))

    def count(self) -> int:
        """Return the number of architectures, exactly."""
        group = self.layer_group
        exact = object if group.options**self.layers >= 2**62 else np.int64
        ways = [c.counts(self.layers).astype(exact)[e] for c, e in zip(group.chains, self.ends, strict=True)]
        return int(sum(np.multiply.reduce(ways)))

    def ends_of(self, part: Part) -> Indices:
        """Return the ends as indices of the sums of a part, ``(ends,)``."""
        first, *others = part.chains
        index = self.ends[first]
        for chain in others:
            index = index.astype(np.int64) * self.layer_group.chains[chain].size(self.layers) + self.ends[chain]
        return index

    def rows(self, codec: Codec, parts: Sequence[Part], options: Sequence[Indices]) -> Codes:
        """Return the codes of the options ``(n, layers)`` of each part."""
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
        """Return the indices of the values that some layer takes, by layer dimension."""
        group, found = self.layer_group, {}
        for part, chain, end in zip(group.parts, group.chains, self.ends, strict=True):
            # layers are alike, so the last tells
            taken = np.flatnonzero((chain.predecessor_at(self.layers, np.unique(end)) >= 0).any(axis=0))
            for place, genes in part.genes(taken).items():
                found[place] = np.array(group.choices[place])[np.unique(genes)]
        return found


@dataclass(frozen=True, slots=True)
class Limited:
    """Limits as counts, the unbounded far away: ``low`` and ``high``, ``(costs,)`` each."""

    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @classmethod
    def of(cls, codec: Codec, limits: Limits) -> Limited:
        """Read limits on additive costs."""
        ends = []
        for name, bounds in limits.items():
            cost = codec.costs[name]
            assert isinstance(cost, AdditiveCost), name
            low, high = in_counts(bounds, cost.scale)
            ends.append((-_UNBOUNDED if low is None else int(low), _UNBOUNDED if high is None else int(high)))
        low_high = np.array(ends, dtype=np.int64).reshape(len(ends), 2)
        return cls(low_high[:, 0], low_high[:, 1])

    def within(self, counts: NDArray[np.int64], slack: NDArray[np.int64] | int = 0) -> NDArray[np.bool_]:
        """Return which counts, rounded up by ``slack`` at most, are surely within, ``(…,)`` of ``(…, costs)``."""
        return np.asarray(((counts - slack >= self.low) & (counts <= self.high)).all(axis=-1))


def find_layer_groups(codec: Codec, limits: Limits, grid: Grid | None = None) -> Iterator[LayerGroup]:
    """Yield the layers of each choice of the network and of each value of a shared dimension.

    Args:
        codec: Of the space.
        limits: Bounds on additive costs.
        grid: Counts by cost that layer costs are rounded up to; None: exact.

    Raises:
        BudgetError: There are too many sums to tell exactly.
    """
    limited = Limited.of(codec, limits)
    units = np.array([(grid or {}).get(name, 1) for name in limits], dtype=np.int64)
    network = product(*(range(len(dimension.values)) for dimension in codec.network))
    values = [range(len(dimension.values)) for dimension in codec.layer]
    sets = [[(i,) for i in own] if d.tied else [tuple(own)] for d, own in zip(codec.layer, values, strict=True)]
    for chosen, choices in product(network, product(*sets)):
        yield _layer_group(codec, limits, limited, units, chosen, choices)


def find_cases(codec: Codec, limits: Limits, groups: Iterable[LayerGroup]) -> Iterator[Case]:
    """Yield the cases of layer groups that are not empty.

    Raises:
        BudgetError: There are too many sums to tell exactly.
    """
    limited = Limited.of(codec, limits)
    for group, (depth, layers) in product(groups, enumerate(codec.depths)):
        ends = _ends(group, layers, limited)
        if len(ends[0]):
            yield Case(group, depth, layers, ends)


def _layer_group(
    codec: Codec,
    limits: Limits,
    limited: Limited,
    units: NDArray[np.int64],
    network: tuple[int, ...],
    choices: tuple[tuple[int, ...], ...],
) -> LayerGroup:
    tables = [codec.layers(name)[network][np.ix_(*choices)] for name in limits]
    sizes = tuple(len(own) for own in choices)
    table = np.stack(tables, axis=-1) if tables else np.zeros((*sizes, 0), dtype=np.int64)
    stem = np.array([codec.stems(name)[network] for name in limits], dtype=np.int64)
    least = table.min(axis=tuple(range(len(choices))))
    groups = _separable(table)
    units = np.maximum(units // len(groups), 1)  # each is rounded, so that one layer stays within the grid
    steps = [_alone(table, group) for group in groups]
    rounded = [_up(step, units) for step in steps]
    slack = sum((up - step).max(axis=0) for up, step in zip(rounded, steps, strict=True))
    most = [step.max(axis=0) for step in rounded]
    chains, parts = [], []
    for place, (group, step) in enumerate(zip(groups, rounded, strict=True)):
        others = np.asarray(sum((own for at, own in enumerate(most) if at != place), np.zeros_like(least)))
        keep = _keep(codec.depths, stem, least, most[place], others, limited) if len(group) > 1 else None
        chains.append(Chain(step, codec.max_depth, keep))
        parts.append(Part((place,), group, tuple(sizes[at] for at in group), chains[-1]))
    return LayerGroup(network, choices, stem, least, np.asarray(slack), tuple(parts), tuple(chains))


def _separable(table: NDArray[np.int64]) -> list[tuple[int, ...]]:
    """Return the axes of a table ``(values of each dimension, costs)`` in groups that add up.

    Two axes depend on each other where the difference that one makes is not the same all along the other.
    """
    groups = [{axis} for axis in range(table.ndim - 1)]
    for one, other in combinations(range(table.ndim - 1), 2):
        by_one = table - table.take([0], axis=one)
        if (by_one != by_one.take([0], axis=other)).any():
            coupled = [group for group in groups if one in group or other in group]
            groups = [*(group for group in groups if group not in coupled), set().union(*coupled)]
    return sorted(tuple(sorted(group)) for group in groups)


def _alone(table: NDArray[np.int64], group: tuple[int, ...]) -> NDArray[np.int64]:
    """Return what the options of some axes add to the least that they can, ``(options, costs)``."""
    at = tuple(slice(None) if axis in group else 0 for axis in range(table.ndim - 1))
    counts = table[at].reshape(prod(table.shape[axis] for axis in group), table.shape[-1])
    return np.asarray(counts - counts.min(axis=0))


def _up(counts: NDArray[np.int64], units: NDArray[np.int64]) -> NDArray[np.int64]:
    return -(-counts // units) * units


def _keep(
    depths: tuple[int, ...],
    stem: NDArray[np.int64],
    least: NDArray[np.int64],
    most: NDArray[np.int64],
    others: NDArray[np.int64],
    limited: Limited,
) -> Keep:
    """Return what tells the sums that some depth can still bring within the limits.

    Args:
        depths: Numbers of layers.
        stem: Counts of all that is no layer, ``(costs,)``.
        least: Counts that every layer has.
        most: Counts that the chain adds to a layer at most.
        others: Counts that the other chains add at most.
        limited: The limits.
    """

    def keep(layers: int, sums: Sums) -> NDArray[np.bool_]:
        inside = np.zeros(len(sums), dtype=bool)
        for depth in depths:
            if depth >= layers:
                at_least = stem + depth * least + sums
                enough = at_least + (depth - layers) * most + depth * others >= limited.low
                inside |= (enough & (at_least <= limited.high)).all(axis=1)
        return inside

    return keep


def _ends(group: LayerGroup, layers: int, limited: Limited) -> tuple[Indices, ...]:
    """Return the sums of each chain that together are within the limits."""
    slack, sums = layers * group.slack, [chain.sums(layers) for chain in group.chains]
    counts, ends = group.stem + layers * group.least + sums[0], [np.arange(len(sums[0]), dtype=np.int32)]
    if len(sums) == 1:
        return (ends[0][limited.within(counts, slack)],)
    most = [own.max(axis=0, initial=0) for own in sums]
    for place, own in enumerate(sums[1:], start=2):
        if len(counts) * len(own) > MAX_ENDS:
            raise BudgetError(
                f"{len(counts):,} × {len(own):,} sums of {layers} layers are more than {MAX_ENDS:,}; give "
                "feasible(…) or run(…) a resolution={cost: grid}, which says what it leaves out",
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
