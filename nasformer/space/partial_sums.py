"""Partial sums: how many ways do n layers add up to each cost, and which choice leads where.

The layers of a network of one embedding width draw their costs from one table, so the sums that n
layers can reach are few (AutoFormer-S: 841 for 14 layers of 9 choices), and counting, sampling and
maximising over all architectures become walks over these sums. One *step* adds one gene. Where a
layer's cost is a sum of its genes' costs (heads, then MLP ratio), each gene is a step of its own;
otherwise a layer is one step over the pairs.

With P_n(s) the probability that n uniform steps sum to s: P_0(0) = 1 and
P_{n+1}(s) = sum over options o of P_n(s - cost(o)) / options. ``child[n][s, o]`` is the index of
s - cost(o) among the sums of n steps, -1 where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nasformer.errors import BudgetError

MAX_SUMS = 2_000_000
"""Most distinct sums at one level before exact counting is refused."""

Sums = NDArray[np.int64]
"""Distinct cost sums, ``(sums, costs)``, in the order of their keys."""


@dataclass(frozen=True, slots=True)
class Level:
    """What a number of steps can add up to.

    Args:
        sums: The distinct sums, ``(sums, costs)``.
        probability: Probability of each sum when every option is equally likely, ``(sums,)``.
        child: Index into the level before for each sum and last option, -1 for none,
            ``(sums, options)``.
        cumulative: Running probability of the last option given the sum, ``(sums, options)``.
    """

    sums: Sums
    probability: NDArray[np.float64]
    child: NDArray[np.int64]
    cumulative: NDArray[np.float64]


class PartialSums:
    """The sums that repeated steps can reach.

    Args:
        steps: Costs of each step's options, ``(options, costs)`` each; one layer takes all steps
            in turn.
        layers: The most layers that are asked about.

    Raises:
        BudgetError: More than ``MAX_SUMS`` distinct sums.
    """

    def __init__(self, steps: Sequence[Sums], layers: int) -> None:
        self.steps = [np.asarray(step, dtype=np.int64) for step in steps]
        costs = self.steps[0].shape[1] if steps else 0
        zero = np.zeros((1, 0), dtype=np.int64)
        self.levels = [Level(np.zeros((1, costs), dtype=np.int64), np.ones(1), zero, zero.astype(np.float64))]
        for _ in range(layers):
            for step in self.steps:
                self.levels.append(_next_level(self.levels[-1], step))
        self._counts: list[NDArray[np.object_]] = []

    def after(self, layers: int) -> Level:
        """Return the level that holds the sums of a number of layers."""
        return self.levels[layers * len(self.steps)]

    def counts(self, layers: int) -> NDArray[np.object_]:
        """Return the exact number of ways to reach each sum of a number of layers, Python ints."""
        if not self._counts:
            self._counts = [np.ones(1, dtype=object)]
            for level in self.levels[1:]:
                before = np.append(self._counts[-1], 0)
                self._counts.append(before[level.child].sum(axis=1))
        return self._counts[layers * len(self.steps)]

    def walk(self, layers: int, last: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Draw the options of each step, uniformly among those that end in given sums.

        Args:
            layers: Number of layers.
            last: Index of each draw's sum among those of ``after(layers)``, ``(draws,)``.
            rng: Source of randomness.

        Returns:
            Option indices, ``(draws, layers, steps)``.
        """
        n = layers * len(self.steps)
        options = np.empty((len(last), n), dtype=np.int64)
        at = last
        for step in range(n, 0, -1):
            level = self.levels[step]
            taken = (rng.random(len(at))[:, None] >= level.cumulative[at][:, :-1]).sum(axis=1)
            options[:, step - 1] = taken
            at = level.child[at, taken]
        return options.reshape(len(last), layers, len(self.steps))

    def expand(self, layers: int, last: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return every way to reach given sums: option indices, ``(ways, layers, steps)``."""
        at, paths = last, np.empty((len(last), 0), dtype=np.int64)
        for step in range(layers * len(self.steps), 0, -1):
            before = self.levels[step].child[at]
            row, option = np.nonzero(before >= 0)
            at, paths = before[row, option], np.column_stack([option, paths[row]])
        return paths.reshape(len(paths), layers, len(self.steps))

    def best(
        self, layers: int, scores: Sequence[NDArray[np.float64]]
    ) -> tuple[list[NDArray[np.float64]], list[NDArray[np.int64]]]:
        """Maximise an additive score over the options that lead to each sum.

        V_{n+1}(s) = max over options o of V_n(s - cost(o)) + score_n(o).

        Args:
            layers: Number of layers.
            scores: Score of each option, ``(options,)``, for every step of every layer.

        Returns:
            By number of steps: the best score of each sum, ``(sums,)``, and its last option.
        """
        values, options = [np.zeros(1)], [np.zeros(1, dtype=np.int64)]
        for level, score in zip(self.levels[1 : 1 + layers * len(self.steps)], scores, strict=True):
            reached = np.append(values[-1], -np.inf)[level.child] + score
            option = reached.argmax(axis=1)
            options.append(option)
            values.append(reached[np.arange(len(reached)), option])
        return values, options

    def trace(self, layers: int, at: int, options: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
        """Follow ``best`` back from a sum: its option indices, ``(layers, steps)``."""
        n = layers * len(self.steps)
        path = np.empty(n, dtype=np.int64)
        for step in range(n, 0, -1):
            path[step - 1] = options[step][at]
            at = int(self.levels[step].child[at, path[step - 1]])
        return path.reshape(layers, len(self.steps))


def _next_level(level: Level, step: Sums) -> Level:
    reached = (level.sums[:, None, :] + step).reshape(len(level.sums) * len(step), step.shape[1])
    sums, index = _distinct(reached)
    if len(sums) > MAX_SUMS:
        raise BudgetError(
            f"these costs take more than {MAX_SUMS:,} distinct sums, too many to count exactly; bound fewer costs", step
        )
    child = np.full((len(sums), len(step)), -1, dtype=np.int64)
    index = index.reshape(len(level.sums), len(step))
    child[index, np.arange(len(step))] = np.arange(len(level.sums))[:, None]
    share = np.append(level.probability, 0.0)[child] / len(step)
    running = share.cumsum(axis=1)
    total = running[:, -1]
    return Level(sums, total, child, running / total[:, None])  # exactly 1 from the last possible option on


def _distinct(rows: Sums) -> tuple[Sums, NDArray[np.intp]]:
    """Return the distinct rows and each row's index among them; exact, by packing where it fits."""
    if rows.shape[1] == 0:
        return rows[:1], np.zeros(len(rows), dtype=np.intp)
    span = rows.max(axis=0) + 1
    if np.prod(span.astype(object)) < 2**63:
        keys = np.ravel_multi_index(tuple(rows.T), tuple(int(size) for size in span))
        _, first, index = np.unique(keys, return_index=True, return_inverse=True)
        return rows[first], index
    distinct, index = np.unique(rows, axis=0, return_inverse=True)
    return distinct, index.reshape(-1)
