"""Chain: dynamic programming over the sums of repeated choices.

All layers of one embedding dimension choose from one cost table, so n layers reach few distinct sums
(AutoFormer-S: 29 by heads, 29 by MLP ratio). Counting, sampling, maximising and ranking all recur over
``predecessor(n)[s, o]``: the index of s - cost(o) among the sums of n - 1 choices, -1 if unreachable.

A vector of costs is packed into one integer, its *key*, in a mixed radix that no sum overflows. Keys are
additive, so the predecessor of key k by option o is k - key(o).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from nasformer.errors import BudgetError

Sums = NDArray[np.int64]
"""Costs, one row each: ``(sums, costs)``."""
Indices = NDArray[np.integer[Any]]
Keep = Callable[[int, Sums], NDArray[np.bool_]]
"""``(choices made, sums)`` -> mask of the sums that can still end within the limits."""

MAX_CELLS = 2**25
"""Maximal entries of one chain's predecessor tables, four bytes each; more are an error: 128 MiB."""

_BLOCK = 2**20
"""Table entries built at a time, which bounds temporary memory."""


class Steps(Protocol):
    """Interface of chains: the number of sums after each choice, and their predecessors."""

    options: int

    def size(self, n: int) -> int:
        """Return the number of distinct sums of ``n`` choices."""
        ...

    def predecessor(self, n: int) -> Indices:
        """Return the predecessor of each sum of ``n`` choices by each last option, ``(sums, options)``."""
        ...

    def predecessor_at(self, n: int, at: Indices) -> Indices:
        """Return the rows ``at`` of ``predecessor(n)``, ``(len(at), options)``."""
        ...

    def best(self, n: int, values: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return max over options of predecessor value plus option score, for each sum of ``n`` choices.

        Args:
            n: Choices made.
            values: Values of the sums of ``n - 1`` choices, ``(sums,)``.
            scores: Scores of the options, ``(options,)``.
        """
        ...


class Chain:
    """The distinct sums of up to a number of choices from one list of options.

    Args:
        costs: Non-negative costs of the options, ``(options, costs)``.
        choices: Maximal number of choices.
        keep: Pruning rule; None: keep all sums.
        cells: Maximal entries of the predecessor tables.

    Raises:
        BudgetError: The tables would be larger.
    """

    def __init__(self, costs: Sums, choices: int, keep: Keep | None = None, cells: int = MAX_CELLS) -> None:
        self.costs = np.asarray(costs, dtype=np.int64)
        self.options = len(self.costs)
        self._unit = np.maximum(np.gcd.reduce(self.costs, axis=0), 1)
        self._spans = [int(most) * choices + 1 for most in (self.costs // self._unit).max(axis=0)]
        step = self._keys_of(self.costs // self._unit)
        self._keys = [np.zeros(1, dtype=step.dtype)]
        self._predecessor = [np.zeros((1, 0), dtype=np.int32)]
        self.cells = 0
        for n in range(1, choices + 1):
            self.cells += len(self._keys[-1]) * self.options  # the number of sums never falls, unless pruned
            _check_cells(self.cells, cells)
            self._extend(n, step, keep)

    def _keys_of(self, sums: Sums) -> NDArray[Any]:
        """Pack each row into one integer: int64 if it fits, else Python's."""
        strides = [1]
        for span in self._spans:
            strides.append(strides[-1] * span)
        kind: Any = np.int64 if strides[-1] < 2**62 else object
        keys: NDArray[Any] = (sums.astype(kind) * np.array(strides[:-1], dtype=kind)).sum(axis=1).astype(kind)
        return keys

    def _extend(self, n: int, step: NDArray[Any], keep: Keep | None) -> None:
        before = self._keys[-1]
        keys = np.unique((before[:, None] + step).reshape(-1))
        if keep is not None:
            keys = keys[keep(n, self._sums_of(keys))]
        predecessor = np.full((len(keys), self.options), -1, dtype=np.int32)
        rows = max(1, _BLOCK // self.options)
        for start in range(0, len(keys) if len(before) else 0, rows):
            wanted = keys[start : start + rows, None] - step  # a borrow leaves a digit that n - 1 choices cannot reach
            place = np.minimum(np.searchsorted(before, wanted), len(before) - 1)
            predecessor[start : start + rows] = np.where(before[place] == wanted, place, -1)
        self._keys.append(keys)
        self._predecessor.append(predecessor)

    def _sums_of(self, keys: NDArray[Any]) -> Sums:
        columns = []
        for span, unit in zip(self._spans, self._unit, strict=True):
            columns.append((keys % span).astype(np.int64) * unit)
            keys = keys // span
        return np.stack(columns, axis=1) if columns else np.zeros((len(keys), 0), dtype=np.int64)

    def size(self, n: int) -> int:
        """Return the number of distinct sums of ``n`` choices."""
        return len(self._keys[n])

    def sums(self, n: int) -> Sums:
        """Return the distinct sums of ``n`` choices, ``(sums, costs)``."""
        return self._sums_of(self._keys[n])

    def predecessor(self, n: int) -> Indices:
        """Return the predecessor of each sum of ``n`` choices by each last option, ``(sums, options)``."""
        return self._predecessor[n]

    def predecessor_at(self, n: int, at: Indices) -> Indices:
        """Return the rows ``at`` of ``predecessor(n)``."""
        return self._predecessor[n][at]

    def best(self, n: int, values: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return max over options of predecessor value plus option score, for each sum of ``n`` choices."""
        before = np.full(len(values) + 1, -np.inf)  # index -1: unreachable
        before[:-1] = values
        best: NDArray[np.float64] = (before[self._predecessor[n]] + scores).max(axis=1)
        return best

    def before(self, n: int, at: Indices, option: Indices) -> Indices:
        """Return ``predecessor(n)[at, option]``, ``(draws,)``."""
        entries: Indices = self._predecessor[n][at, option]
        return entries

    def counts(self, n: int) -> NDArray[np.object_]:
        """Return the exact number of choice sequences to each sum of ``n`` choices, as Python integers."""
        return self._counts[n]

    @cached_property
    def _counts(self) -> list[NDArray[np.object_]]:
        counts = [np.ones(1, dtype=object)]
        for predecessor in self._predecessor[1:]:
            exact = object if self.options ** len(counts) >= 2**62 else np.int64
            before = np.append(counts[-1].astype(exact), 0)
            counts.append(before[predecessor].sum(axis=1).astype(object))
        return counts


class Product:
    """The product of two chains: sums and options are pairs, indexed in row-major order; nothing is stored."""

    def __init__(self, first: Steps, second: Steps) -> None:
        self.first, self.second = first, second
        self.options = first.options * second.options

    def size(self, n: int) -> int:
        """Return the number of pairs of sums of ``n`` choices."""
        return self.first.size(n) * self.second.size(n)

    def predecessor(self, n: int) -> Indices:
        """Return the predecessor of each pair of sums by each pair of last options."""
        return self.predecessor_at(n, np.arange(self.size(n)))

    def predecessor_at(self, n: int, at: Indices) -> Indices:
        """Return the rows ``at`` of ``predecessor(n)``."""
        i, j = np.divmod(at, self.second.size(n))
        one = self.first.predecessor_at(n, i)[:, :, None]
        other = self.second.predecessor_at(n, j)[:, None, :]
        pairs = one.astype(np.int64) * self.second.size(n - 1) + other
        return np.where((one >= 0) & (other >= 0), pairs, -1).reshape(len(at), self.options)

    def best(self, n: int, values: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return max over options of predecessor value plus option score, for each pair of sums."""
        before = np.full((self.first.size(n - 1) + 1, self.second.size(n - 1) + 1), -np.inf)
        before[:-1, :-1] = values.reshape(before.shape[0] - 1, -1)
        best = np.full((self.first.size(n), self.second.size(n)), -np.inf)
        columns_of = self.second.predecessor(n).T
        for rows, own in zip(self.first.predecessor(n).T, scores.reshape(self.first.options, -1), strict=True):
            taken = before[rows]
            for columns, score in zip(columns_of, own, strict=True):
                np.maximum(best, taken.take(columns, axis=1, mode="wrap") + score, out=best)  # -1 wraps to the last
        return best.reshape(-1)


def expand(steps: Steps, choices: int, at: Indices) -> Indices:
    """Enumerate all choice sequences to given sums: option indices, ``(sequences, choices)``."""
    paths: Indices = np.empty((len(at), 0), dtype=np.int64)
    for n in range(choices, 0, -1):
        before = steps.predecessor_at(n, at)
        row, option = np.nonzero(before >= 0)
        at, paths = before[row, option], np.column_stack([option, paths[row]])
    return paths


def _check_cells(cells: int, limit: int) -> None:
    if cells > limit:
        raise BudgetError(
            f"these costs take tables of more than {limit:,} entries to count exactly; bound fewer costs, count one "
            "in coarser units, or give feasible(…) or run(…) a resolution={cost: grid}, which reports what it excludes",
            cells,
        )
