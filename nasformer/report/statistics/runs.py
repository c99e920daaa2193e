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
    """All complete runs of one task.

    Args:
        record: Record of the task.
        labels: Strategies with a complete run, in the order of the comparison.
        seeds: Seeds in the order of the comparison.
        told: Values told to strategies, (S, R, N).
        true: Values without noise, (S, R, N); the told ones if unknown.
        seconds: Time of each evaluation, (S, R, N).
        costs: Further columns of the trials by name, (S, R, N).
        cells: Columns of the cells by name, (S, R).
        complete: Whether the run is complete, (S, R).
        stopped: Reasons of the end, by label.
        knows_true: Whether values without noise are known.
    """

    record: TaskRecord
    labels: tuple[str, ...]
    seeds: tuple[int, ...]
    told: Floats
    true: Floats
    seconds: Floats
    costs: Mapping[str, Floats]
    cells: Mapping[str, Floats]
    complete: NDArray[np.bool_]
    stopped: Mapping[str, frozenset[str]]
    knows_true: bool

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
    present = tuple(label for label in labels if (cells["strategy"] == label).any())
    shape = (len(present), len(seeds))
    at = _places(cells, present, seeds)
    complete = np.zeros(shape, dtype=bool)
    complete[at] = True
    evaluations = max(1, int(trials["evaluation"].max())) if len(trials) else 1
    rows = _complete_rows(trials, present, seeds, complete)
    place = (*_places(rows, present, seeds), rows["evaluation"].to_numpy(dtype=int) - 1)
    columns = {name: _dense(rows, name, place, (*shape, evaluations)) for name in _trial_columns(rows)}
    told, true = columns.pop("value"), columns.pop("true")
    knows_true = len(rows) > 0 and not np.isnan(true[~np.isnan(told)]).any()
    return Runs(
        record,
        present,
        tuple(seeds),
        told,
        true if knows_true else told,
        columns.pop("seconds"),
        columns,
        {name: _dense(cells, name, at, shape) for name in _CELLS},
        complete,
        {label: frozenset(map(str, cells["stopped"][cells["strategy"] == label])) for label in present},
        knows_true,
    )


def middle(values: Floats) -> float | None:
    """Return the median of the known values; None if there are none."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else None


def _trial_columns(trials: pd.DataFrame) -> list[str]:
    from pandas.api.types import is_numeric_dtype

    needed = ("value", "true", "seconds")
    others = set(trials.columns) - {"task", "strategy", "seed", "evaluation", "loss", *needed}
    return [*needed, *sorted(name for name in others if is_numeric_dtype(trials[name]))]


def _places(
    rows: pd.DataFrame, labels: Sequence[str], seeds: Sequence[int]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    import pandas as pd

    return pd.Index(labels).get_indexer(pd.Index(rows["strategy"])), pd.Index(seeds).get_indexer(pd.Index(rows["seed"]))


def _complete_rows(
    trials: pd.DataFrame, labels: Sequence[str], seeds: Sequence[int], complete: NDArray[np.bool_]
) -> pd.DataFrame:
    strategy, seed = _places(trials, labels, seeds)
    known = (strategy >= 0) & (seed >= 0)
    return trials[known & complete[strategy, seed]]


def _dense(rows: pd.DataFrame, column: str, place: tuple[NDArray[np.intp], ...], shape: tuple[int, ...]) -> Floats:
    array = np.full(shape, np.nan)
    array[place] = rows[column].to_numpy(dtype=float, na_value=np.nan)
    return array
