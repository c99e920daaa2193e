"""CountedSet: a feasible set that is counted, sampled and maximised over without listing it.

Given embed_dim and depth (and the value of a dimension that all layers share), an architecture's cost
is the stem's plus a sum over layers, so the set is a union over such *cases* of the layer sums that
end within the limits; see ``partial_sums``. AutoFormer-T at 5-6 M parameters holds 14,475,214 of
1,056,964,608 architectures: drawing until one fits would throw 98 of 100 away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nasformer.cost import Bounds, Limits, format_limits
from nasformer.errors import BudgetError
from nasformer.space.codec import Codec, Codes
from nasformer.space.feasible import Domain, FeasibleSet, Prior, Seed, check_cost, check_prior
from nasformer.space.partial_sums import PartialSums
from nasformer.space.scores import Scores

if TYPE_CHECKING:
    from nasformer.space.searchspace import SearchSpace

_GENES = ("num_heads", "mlp_ratio")


@dataclass(frozen=True)
class _Case:
    """The architectures of one embed_dim, one depth and one value of each shared dimension.

    ``heads`` and ``ratios`` are the choice indices that each layer may take; ``ends`` the sums of
    all layers that are within the limits, and ``totals`` the whole costs there, ``(ends, costs)``.
    """

    embed: int
    depth: int
    heads: tuple[int, ...]
    ratios: tuple[int, ...]
    sums: PartialSums
    layers: int
    ends: NDArray[np.int64]
    totals: NDArray[np.int64]

    @property
    def probability(self) -> float:
        """Chance that uniform layers end within the limits."""
        return float(self.sums.after(self.layers).probability[self.ends].sum())

    @property
    def combinations(self) -> int:
        """Architectures of the case, within the limits or not."""
        return int((len(self.heads) * len(self.ratios)) ** self.layers)

    def count(self) -> int:
        """Architectures of the case within the limits, exactly."""
        return int(self.sums.counts(self.layers)[self.ends].sum())

    def genes(self, options: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Turn options ``(n, layers, steps)`` into indices of heads and ratios, ``(n, layers)`` each."""
        if len(self.sums.steps) == 1:
            heads, ratios = np.divmod(options[..., 0], len(self.ratios))
        else:
            heads, ratios = options[..., 0], options[..., 1]
        return np.array(self.heads)[heads], np.array(self.ratios)[ratios]

    def reachable(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Indices of the heads and of the ratios that some layer takes; layers are alike, so the last tells."""
        at, step = self.ends, self.layers * len(self.sums.steps)
        taken: list[NDArray[np.int64]] = []
        for level in (self.sums.levels[step - back] for back in range(len(self.sums.steps))):
            child = level.child[at]
            taken.insert(0, np.flatnonzero((child >= 0).any(axis=0)))
            at = np.unique(child[child >= 0])
        if len(taken) == 1:
            heads, ratios = np.divmod(taken[0], len(self.ratios))
            return np.array(self.heads)[heads], np.array(self.ratios)[ratios]
        return np.array(self.heads)[taken[0]], np.array(self.ratios)[taken[1]]

    def best(self, scores: Scores, layers: int) -> tuple[list[NDArray[np.float64]], list[NDArray[np.int64]]]:
        """Maximise the layers' scores for every sum of up to a number of layers."""
        heads, ratios = scores.num_heads[:, list(self.heads)], scores.mlp_ratio[:, list(self.ratios)]
        if len(self.sums.steps) == 1:
            steps = [(h[:, None] + r).reshape(-1) for h, r in zip(heads, ratios, strict=True)]
        else:
            steps = [step for pair in zip(heads, ratios, strict=True) for step in pair]
        return self.sums.best(layers, steps)


class CountedSet(FeasibleSet):
    """A feasible set of a whole space, by dynamic programming over costs.

    Args:
        space: The space.
        limits: Bounds by cost.

    Raises:
        BudgetError: No architecture is within the limits; the message names the nearest cost.
    """

    def __init__(self, space: SearchSpace, limits: Limits) -> None:
        super().__init__(space, limits)
        self._cases = list(_cases(space.codec, limits))
        if not self._cases:
            raise BudgetError(_nearest(space, limits), limits)
        self._counts: list[int] = []

    def count(self) -> int:
        """Return the exact number of architectures."""
        return sum(self._case_counts())

    def _case_counts(self) -> list[int]:
        if not self._counts:
            self._counts = [case.count() for case in self._cases]
        return self._counts

    def sample_codes(self, n: int, seed: Seed = 0, prior: Prior = "dimensions") -> Codes:
        """Return the codes of ``sample``."""
        check_prior(prior)
        rng = np.random.default_rng(seed)
        weights = np.array(
            [case.probability for case in self._cases]
            if prior == "dimensions"
            else [count / max(self._case_counts()) for count in self._case_counts()]
        )
        taken = rng.choice(len(self._cases), size=n, p=weights / weights.sum())
        codes = np.empty((n, self.space.codec.columns), dtype=np.int64)
        for index in np.unique(taken):
            rows = np.flatnonzero(taken == index)
            codes[rows] = self._draw(self._cases[index], len(rows), rng)
        return codes

    def _draw(self, case: _Case, n: int, rng: np.random.Generator) -> Codes:
        probability = case.sums.after(case.layers).probability[case.ends]
        last = case.ends[rng.choice(len(case.ends), size=n, p=probability / probability.sum())]
        return self._rows(case, case.sums.walk(case.layers, last, rng))

    def _rows(self, case: _Case, options: NDArray[np.int64]) -> Codes:
        codec = self.space.codec
        codes = np.full((len(options), codec.columns), -1, dtype=np.int64)
        codes[:, 0], codes[:, 1] = case.embed, case.depth
        heads, ratios = case.genes(options)
        codec.heads_of(codes)[:, : case.layers] = heads
        codec.ratios_of(codes)[:, : case.layers] = ratios
        return codes

    def codes(self, limit: int = 1_000_000) -> Codes:
        """Return every architecture's code.

        Raises:
            BudgetError: There are more than ``limit``.
        """
        if self.count() > limit:
            raise BudgetError(f"{self.count():,} architectures are more than the limit of {limit:,}", limit)
        return np.concatenate([self._rows(case, case.sums.expand(case.layers, case.ends)) for case in self._cases])

    def bounds(self, cost: str) -> tuple[int, int]:
        """Return the least and the most that a cost takes, exactly, under all limits."""
        check_cost(cost)
        if cost in self.limits:
            column = list(self.limits).index(cost)
            totals = np.concatenate([case.totals[:, column] for case in self._cases])
            return int(totals.min()), int(totals.max())
        open_limits = {**self.limits, cost: Bounds(0, None)}
        return CountedSet(self.space, open_limits).bounds(cost)

    def reachable(self) -> Domain:
        """Return the values of each dimension that occur in some architecture of the set."""
        codec = self.space.codec
        found: dict[str, set[float]] = {key: set() for key in ("embed_dim", "depth", *_GENES)}
        for case in self._cases:
            heads, ratios = case.reachable()
            found["embed_dim"].add(codec.embed_dim[case.embed])
            found["depth"].add(codec.depth[case.depth])
            found["num_heads"].update(codec.num_heads[index] for index in heads)
            found["mlp_ratio"].update(codec.mlp_ratio[index] for index in ratios)
        return {key: tuple(sorted(values)) for key, values in found.items()}

    def _argmax(self, scores: Scores) -> Codes:
        best_score, best_codes = -np.inf, np.empty((0, 0), dtype=np.int64)
        by_sums = {id(case.sums): case for case in self._cases}
        tables = {key: case.best(scores, self.space.codec.max_depth) for key, case in by_sums.items()}
        for case in self._cases:
            values, options = tables[id(case.sums)]
            ends = values[case.layers * len(case.sums.steps)][case.ends]
            at = int(ends.argmax())
            score = float(scores.embed_dim[case.embed] + scores.depth[case.depth] + ends[at])
            if score > best_score or not best_codes.size:
                path = case.sums.trace(case.layers, int(case.ends[at]), options)
                best_score, best_codes = score, self._rows(case, path[None])
        return best_codes


def _cases(codec: Codec, limits: Limits) -> Iterator[_Case]:
    all_heads, all_ratios = (tuple(range(len(getattr(codec, key)))) for key in _GENES)
    heads_sets = [(index,) for index in all_heads] if codec.tied["num_heads"] else [all_heads]
    ratio_sets = [(index,) for index in all_ratios] if codec.tied["mlp_ratio"] else [all_ratios]
    for embed, heads, ratios in product(range(len(codec.embed_dim)), heads_sets, ratio_sets):
        base, steps = _steps(codec, limits, embed, heads, ratios)
        sums = PartialSums(steps, codec.max_depth)
        stem = np.array([codec.stem_table[name][embed] for name in limits], dtype=np.int64)
        for depth, layers in enumerate(codec.depth):
            totals = stem + layers * base + sums.after(layers).sums
            ends = np.flatnonzero(_within(totals, limits))
            if len(ends):
                yield _Case(embed, depth, heads, ratios, sums, layers, ends, totals[ends])


def _steps(
    codec: Codec, limits: Limits, embed: int, heads: tuple[int, ...], ratios: tuple[int, ...]
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return the cost that every layer has at least, and what each gene's options add to it."""
    tables = [codec.layer_table[name][embed][np.ix_(heads, ratios)] for name in limits]
    table = np.stack(tables, axis=-1) if tables else np.zeros((len(heads), len(ratios), 0), dtype=np.int64)
    least = table.min(axis=(0, 1))
    by_head, by_ratio = table[:, 0] - table[:, 0].min(axis=0), table[0] - table[0].min(axis=0)
    if (by_head[:, None] + by_ratio == table - least).all():
        return least, [by_head, by_ratio]
    return least, [(table - least).reshape(-1, len(limits))]


def _within(totals: NDArray[np.int64], limits: Limits) -> NDArray[np.bool_]:
    inside = np.ones(len(totals), dtype=np.bool_)
    for column, (low, high) in zip(totals.T, limits.values(), strict=True):
        if low is not None:
            inside &= column >= low
        if high is not None:
            inside &= column <= high
    return inside


def _nearest(space: SearchSpace, limits: Limits) -> str:
    """Say what no architecture has, and the nearest that there is."""
    wanted = f"no architecture of {space.name!r} has {format_limits(limits)}"
    for name, bounds in limits.items():
        totals = np.unique(np.concatenate([case.totals for case in _cases(space.codec, {name: Bounds(0, None)})]))
        if _within(totals[:, None], {name: bounds}).any():
            continue
        below = totals[totals < (bounds.low or 0)][-1:]
        above = totals[totals > (np.inf if bounds.high is None else bounds.high)][:1]
        nearest = " and ".join(f"{value:,}" for value in [*below, *above])
        return (
            f"{wanted}; the nearest reachable {name} is {nearest} "
            f"(smallest member {totals[0]:,}, largest {totals[-1]:,})"
        )
    return f"{wanted}, though each limit can be met alone; {_without_first(space, limits)}"


def _without_first(space: SearchSpace, limits: Limits) -> str:
    name, *others = limits
    rest = {other: limits[other] for other in others}
    least, most = CountedSet(space, rest).bounds(name)
    return f"under {format_limits(rest)} {name} spans {least:,} to {most:,}"
