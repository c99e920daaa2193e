"""Runs: the two tables of one task as arrays, for vectorised statistics over seeds.

Shapes: S strategies, R seeds (repetitions), N evaluations. Missing values are NaN.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nasformer.compare.comparison import CELL_COLUMNS, TaskRecord

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
_CELLS = tuple(name for name in CELL_COLUMNS if name not in ("task", "strategy", "seed", "architecture", "stopped"))
_DIGITS = 11  # significant digits of the largest value; smaller differences are rounding errors


@dataclass(frozen=True, eq=False)
class Runs:
    """All complete runs of one task."""

    record: TaskRecord
    labels: tuple[str, ...]  # strategies with a complete run, in the order of the comparison
    seeds: tuple[int, ...]
    told: Floats  # values told to strategies, (S, R, N)
    true: Floats  # values without noise, (S, R, N); the told ones if unknown
    seconds: Floats  # of each evaluation, (S, R, N)
    costs: Mapping[str, Floats]  # further columns of the trials, (S, R, N)
    cells: Mapping[str, Floats]  # columns of the cells, (S, R)
    complete: NDArray[np.bool_]  # (S, R)
    stopped: Mapping[str, frozenset[str]]  # reasons of the end, by label
    knows_true: bool  # whether values without noise are known

    @cached_property
    def curve(self) -> Floats:
        """True value of the incumbent (highest told), (S, R, N); an early end keeps the last value."""
        told = np.where(np.isnan(self.told), -np.inf, self.told)
        best = np.maximum.accumulate(told, axis=-1)
        before = np.concatenate([np.full_like(best[..., :1], -np.inf), best[..., :-1]], axis=-1)
        newest = np.maximum.accumulate(np.where(told > before, np.arange(told.shape[-1]), 0), axis=-1)
        return np.where(np.isneginf(best), np.nan, np.take_along_axis(self.true, newest, axis=-1))

    @cached_property
    def final(self) -> Floats:
        """Value of each run's confirmed winner, (S, R): without noise if known for all, else confirmed."""
        true, confirmed = self.cells["true"], self.cells["confirmed"]
        known = not np.isnan(true[~np.isnan(confirmed)]).any()
        return true if known else confirmed

    @cached_property
    def decimals(self) -> int:
        """Significant decimal places of the values."""
        largest = float(np.abs(self.final[np.isfinite(self.final)]).max(initial=0.0))
        return _DIGITS - (math.ceil(math.log10(largest)) if largest > 0 else 0)

    @property
    def resolution(self) -> float:
        """Smallest difference of values above rounding error."""
        return 10.0**-self.decimals

    def rounded(self, values: ArrayLike) -> Floats:
        """Return values rounded to ``decimals``, so that ties are detected."""
        return np.round(np.asarray(values, dtype=float), self.decimals)

    def same(self, first: int, second: int) -> bool:
        """Whether two strategies have identical runs for all common seeds."""
        both = self.complete[first] & self.complete[second]
        arrays = [self.told, self.true, *self.costs.values(), self.final]
        return bool(both.any()) and all(
            np.array_equal(array[first, both], array[second, both], equal_nan=True) for array in arrays
        )

    def alike(self, strategy: int) -> bool:
        """Whether a strategy is deterministic: identical runs with every seed."""
        rows = np.flatnonzero(self.complete[strategy])
        return len(rows) > 1 and all(
            np.array_equal(
                array[strategy, rows],
                np.broadcast_to(array[strategy, rows[:1]], array[strategy, rows].shape),
                equal_nan=True,
            )
            for array in (self.true, *self.costs.values())
        )


def read_runs(
    record: TaskRecord, labels: Sequence[str], seeds: Sequence[int], trials: pd.DataFrame, cells: pd.DataFrame
) -> Runs:
    """Return the rows of one task as arrays; trials of incomplete runs are dropped."""
    import pandas as pd

    present = tuple(label for label in labels if (cells["strategy"] == label).any())
    shape = (len(present), len(seeds))
    runs = pd.MultiIndex.from_product([present, seeds])
    own = cells.set_index(["strategy", "seed"]).reindex(runs)
    complete = runs.isin(pd.MultiIndex.from_frame(cells[["strategy", "seed"]])).reshape(shape)
    evaluations = max(1, int(trials["evaluation"].max())) if len(trials) else 1
    places = pd.MultiIndex.from_product([present, seeds, range(1, evaluations + 1)])
    rows = trials.set_index(["strategy", "seed", "evaluation"]).reindex(places)

    def dense(frame: pd.DataFrame, name: str, shape: tuple[int, ...]) -> Floats:
        return frame[name].to_numpy(dtype=float, na_value=np.nan).reshape(shape)

    def evaluated(name: str) -> Floats:
        return np.where(complete[..., None], dense(rows, name, (*shape, evaluations)), np.nan)

    told, true = evaluated("value"), evaluated("true")
    knows_true = bool((~np.isnan(told)).any()) and not np.isnan(true[~np.isnan(told)]).any()
    return Runs(
        record,
        present,
        tuple(seeds),
        told,
        true if knows_true else told,
        evaluated("seconds"),
        {name: evaluated(name) for name in _cost_columns(trials)},
        {name: dense(own, name, shape) for name in _CELLS},
        complete,
        {label: frozenset(map(str, cells["stopped"][cells["strategy"] == label])) for label in present},
        knows_true,
    )


def middle(values: Floats) -> float | None:
    """Return the median of the known values; None if there are none."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else None


def _cost_columns(trials: pd.DataFrame) -> list[str]:
    from pandas.api.types import is_numeric_dtype

    others = set(trials.columns) - {"task", "strategy", "seed", "evaluation", "loss", "value", "true", "seconds"}
    return sorted(name for name in others if is_numeric_dtype(trials[name]))
