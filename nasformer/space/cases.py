"""Cases: a space under limits, as sums of layers that end within them.

Given embed_dim, depth and the value of a dimension that all layers share, an architecture's cost is the
stem's plus a sum over layers, so a feasible set is a union over such cases. Where a layer's cost is a sum of
its genes' costs, as of parameters and MACs, the heads of all layers make one chain of sums and the MLP ratios
another, independent but for the limits at their ends: AutoFormer-S has 29 by 29 ends at 14 layers, and 32
layers of 8 by 8 choices 225 by 225. Otherwise the pairs make one chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from nasformer.cost import AdditiveCost, Limits, in_counts
from nasformer.errors import BudgetError
from nasformer.space.chain import Chain, Indices, Keep, Product, Steps, Sums
from nasformer.space.codec import Codec, Codes

MAX_ENDS = 2**22
"""Most pairs of sums that one case may end in before exactness is refused: 32 MiB."""

_UNBOUNDED = 2**62
Grid = Mapping[str, int]
"""By cost, the counts that layer costs are rounded up to."""


@dataclass(frozen=True, eq=False, slots=True)
class Layers:
    """The sums of the layers of one embed_dim and one value of each shared dimension.

    Args:
        embed: Index of the embed_dim.
        heads: Indices of the heads that each layer may take.
        ratios: Indices of the MLP ratios that each layer may take.
        stem: Counts of all that is no layer, ``(costs,)``.
        least: Counts that every layer has, whatever its genes, ``(costs,)``.
        slack: Counts that one layer may have been rounded up by, ``(costs,)``.
        chains: Of the heads and of the ratios, or of the pairs.
    """

    embed: int
    heads: tuple[int, ...]
    ratios: tuple[int, ...]
    stem: NDArray[np.int64]
    least: NDArray[np.int64]
    slack: NDArray[np.int64]
    chains: tuple[Chain, ...]

    @property
    def pairs(self) -> Steps:
        """The chain whose options are pairs of heads and ratio."""
        return self.chains[0] if len(self.chains) == 1 else Product(*self.chains)

    @property
    def options(self) -> int:
        """What one layer may be."""
        return len(self.heads) * len(self.ratios)

    def of_pairs(self, table: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return a table by layer, heads and ratio as one by layer and option of ``pairs``."""
        return table[:, self.heads][:, :, self.ratios].reshape(len(table), -1)

    def genes(self, options: list[Indices]) -> tuple[Indices, Indices]:
        """Turn options of each chain, or of pairs, ``(n, layers)``, into indices of heads and ratios."""
        heads, ratios = np.divmod(options[0], len(self.ratios)) if len(options) == 1 else options
        return np.array(self.heads)[heads], np.array(self.ratios)[ratios]


@dataclass(frozen=True, eq=False, slots=True)
class Case:
    """The architectures of some layers at one depth that are within the limits.

    ``ends`` are indices of the chains' sums, one array for each chain, ``(ends,)``.
    """

    of: Layers
    depth: int
    layers: int
    ends: tuple[Indices, ...]

    def totals(self) -> Sums:
        """Return the counts at the ends, ``(ends, costs)``."""
        fixed = self.of.stem + self.layers * self.of.least
        return fixed + sum(c.sums(self.layers)[end] for c, end in zip(self.of.chains, self.ends, strict=True))

    def count(self) -> int:
        """Return the number of architectures, exactly."""
        exact = object if self.of.options**self.layers >= 2**62 else np.int64
        ways = [c.counts(self.layers).astype(exact)[e] for c, e in zip(self.of.chains, self.ends, strict=True)]
        return int(sum(np.multiply.reduce(ways)))

    def pair_ends(self) -> Indices:
        """Return the ends as indices of the sums of ``of.pairs``, ``(ends,)``."""
        if len(self.ends) == 1:
            return self.ends[0]
        return self.ends[0].astype(np.int64) * self.of.chains[1].size(self.layers) + self.ends[1]

    def rows(self, codec: Codec, options: list[Indices]) -> Codes:
        """Return the codes of options of each chain, or of pairs, ``(n, layers)``."""
        heads, ratios = self.of.genes(options)
        codes = np.full((len(heads), codec.columns), -1, dtype=np.int64)
        codes[:, 0], codes[:, 1] = self.of.embed, self.depth
        codec.heads_of(codes)[:, : self.layers] = heads
        codec.ratios_of(codes)[:, : self.layers] = ratios
        return codes

    def reachable(self) -> tuple[Indices, Indices]:
        """Return the indices of the heads and of the ratios that some layer takes."""
        # layers are alike, so the last tells
        taken = []
        for chain, end in zip(self.of.chains, self.ends, strict=True):
            taken.append(np.flatnonzero((chain.child_at(self.layers, np.unique(end)) >= 0).any(axis=0)))
        if len(taken) == 1:
            heads, ratios = np.divmod(taken[0], len(self.of.ratios))
        else:
            heads, ratios = taken
        return np.array(self.of.heads)[np.unique(heads)], np.array(self.of.ratios)[np.unique(ratios)]


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


def find_layers(codec: Codec, limits: Limits, grid: Grid | None = None) -> Iterator[Layers]:
    """Yield the layers of each embed_dim and of each value of a shared dimension.

    Args:
        codec: Of the space.
        limits: Bounds on additive costs.
        grid: Counts by cost that layer costs are rounded up to; None: exact.

    Raises:
        BudgetError: There are too many sums to tell exactly.
    """
    limited = Limited.of(codec, limits)
    units = np.array([(grid or {}).get(name, 1) for name in limits], dtype=np.int64)
    singles = {key: [(index,) for index in range(len(getattr(codec, key)))] for key in codec.tied}
    sets = {key: singles[key] if tied else [sum(singles[key], ())] for key, tied in codec.tied.items()}
    for embed, heads, ratios in product(range(len(codec.embed_dim)), sets["num_heads"], sets["mlp_ratio"]):
        yield _layers(codec, limits, limited, units, embed, heads, ratios)


def find_cases(codec: Codec, limits: Limits, all_layers: Iterable[Layers]) -> Iterator[Case]:
    """Yield the cases of layers that are not empty.

    Raises:
        BudgetError: There are too many sums to tell exactly.
    """
    limited = Limited.of(codec, limits)
    for of, (depth, layers) in product(all_layers, enumerate(codec.depth)):
        ends = _ends(of, layers, limited)
        if len(ends[0]):
            yield Case(of, depth, layers, ends)


def _layers(
    codec: Codec,
    limits: Limits,
    limited: Limited,
    units: NDArray[np.int64],
    embed: int,
    heads: tuple[int, ...],
    ratios: tuple[int, ...],
) -> Layers:
    tables = [codec.layers(name)[embed][np.ix_(heads, ratios)] for name in limits]
    table = np.stack(tables, axis=-1) if tables else np.zeros((len(heads), len(ratios), 0), dtype=np.int64)
    stem = np.array([codec.stems(name)[embed] for name in limits], dtype=np.int64)
    least = table.min(axis=(0, 1))
    by_head, by_ratio = table[:, 0] - table[:, 0].min(axis=0), table[0] - table[0].min(axis=0)
    if (by_head[:, None] + by_ratio == table - least).all():
        steps = [by_head, by_ratio]
        units = np.maximum(units // 2, 1)  # two genes are rounded, so that one layer stays within the grid
        keep = None
    else:
        steps = [(table - least).reshape(-1, len(limits))]
        keep = _keep(codec.depth, stem, least, _up(steps[0], units).max(axis=0), limited)
    rounded = [_up(step, units) for step in steps]
    slack = sum((up - step).max(axis=0) for up, step in zip(rounded, steps, strict=True))
    chains = tuple(Chain(step, codec.max_depth, keep) for step in rounded)
    return Layers(embed, heads, ratios, stem, least, np.asarray(slack), chains)


def _up(counts: NDArray[np.int64], units: NDArray[np.int64]) -> NDArray[np.int64]:
    return -(-counts // units) * units


def _keep(
    depths: tuple[int, ...],
    stem: NDArray[np.int64],
    least: NDArray[np.int64],
    most: NDArray[np.int64],
    limited: Limited,
) -> Keep:
    """Return what tells the sums that some depth can still bring within the limits."""

    def keep(layers: int, sums: Sums) -> NDArray[np.bool_]:
        inside = np.zeros(len(sums), dtype=bool)
        for depth in depths:
            if depth >= layers:
                at_least = stem + depth * least + sums
                enough = at_least + (depth - layers) * most >= limited.low
                inside |= (enough & (at_least <= limited.high)).all(axis=1)
        return inside

    return keep


def _ends(of: Layers, layers: int, limited: Limited) -> tuple[Indices, ...]:
    """Return the sums of each chain that together are within the limits."""
    fixed, slack = of.stem + layers * of.least, layers * of.slack
    if len(of.chains) == 1:
        sums = of.chains[0].sums(layers)
        return (np.flatnonzero(limited.within(fixed + sums, slack)).astype(np.int32),)
    one, other = (chain.sums(layers) for chain in of.chains)
    if len(one) * len(other) > MAX_ENDS:
        raise BudgetError(
            f"{len(one):,} × {len(other):,} sums of {layers} layers are more than {MAX_ENDS:,}; give "
            "feasible(…) or run(…) a resolution={cost: grid}, which says what it leaves out",
            layers,
        )
    inside = np.ones((len(one), len(other)), dtype=bool)
    for cost in range(len(limited.low)):
        total = fixed[cost] + one[:, None, cost] + other[:, cost]
        inside &= (total - slack[cost] >= limited.low[cost]) & (total <= limited.high[cost])
    return tuple(index.astype(np.int32) for index in np.nonzero(inside))
