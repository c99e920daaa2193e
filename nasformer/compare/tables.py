"""Rows of a search result in a comparison's two tidy tables; ``comparison`` lists the columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nasformer.architecture import Architecture
from nasformer.compare.comparison import CELL_COLUMNS, TRIAL_COLUMNS
from nasformer.search import SearchResult, Trial

if TYPE_CHECKING:
    import pandas as pd

Judge = Callable[[Architecture], float | None]
"""Returns the true or test value of an architecture; None if unknown."""


def trial_columns(result: SearchResult, task: str, label: str, truth: Judge | None = None) -> dict[str, Any]:
    """Return the columns of a run in ``trials``, each ``(evaluations,)``.

    Args:
        result: Result of the run.
        task: Name of the task.
        label: Label of the strategy.
        truth: Value of an architecture without noise.
    """
    trials = result.trials
    costs = {name for trial in trials[:1] for name in trial.costs}
    return {
        "task": [task] * len(trials),
        "strategy": [label] * len(trials),
        "seed": np.full(len(trials), result.seed),
        "evaluation": np.arange(1, len(trials) + 1),
        "architecture": [json.dumps(trial.architecture.to_dict()) for trial in trials],
        "value": _floats([None if trial.probe else trial.value for trial in trials]),
        "true": _floats([truth(trial.architecture) if truth and not trial.probe else None for trial in trials]),
        "loss": _floats([trial.metrics.get("loss") for trial in trials]),
        **{name: _floats([trial.costs.get(name) for trial in trials]) for name in ("params", "macs", *sorted(costs))},
        "seconds": _floats([trial.seconds for trial in trials]),
    }


def plain_columns(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a run as JSON lists, without the constant ones."""
    lists = {name: column.tolist() if isinstance(column, np.ndarray) else column for name, column in columns.items()}
    return {name: column for name, column in lists.items() if name not in ("task", "strategy", "seed")}


def trial_table(runs: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the columns of several runs as one table."""
    import pandas as pd

    numbers = dict.fromkeys(("value", "true", "loss"), float)  # null in a file: missing
    frames = [pd.DataFrame(columns).astype(numbers) for columns in runs]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(TRIAL_COLUMNS))


def cell_row(
    result: SearchResult,
    task: str,
    label: str,
    *,
    truth: Judge | None = None,
    test: Judge | None = None,
    optimum: float | None = None,
) -> dict[str, Any]:
    """Return the row of a run in ``cells``.

    Args:
        result: Result of the run, with a confirmed winner.
        task: Name of the task.
        label: Label of the strategy.
        truth: Value of an architecture without noise.
        test: Value of an architecture on the test split, used for the winner only.
        optimum: The highest true value within the limits.
    """
    best = result.best
    true = truth(best.architecture) if truth else None
    regret = None if true is None or optimum is None else max(0.0, optimum - true)
    counts, seconds = result.counts, result.seconds
    return {
        "task": task,
        "strategy": label,
        "seed": result.seed,
        "architecture": json.dumps(best.architecture.to_dict()),
        "params": best.params,
        "macs": best.macs,
        "confirmed": best.fitness,
        "true": true,
        "test": test(best.architecture) if test else None,
        "observed": _observed(result.trials),
        "regret": regret,
        "evaluations": len(result.trials),
        **{name: counts.get(name, 0) for name in ("duplicates", "infeasible", "replaced", "failed")},
        **{f"{name}_seconds": seconds.get(name, 0.0) for name in ("strategy", "evaluation", "total")},
        "stopped": result.stopped,
    }


def cell_table(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Return the rows of several runs as one table; unknown values are missing."""
    import pandas as pd

    numbers = dict.fromkeys(("confirmed", "true", "test", "observed", "regret"), float)
    return pd.DataFrame(list(rows), columns=list(CELL_COLUMNS)).astype(numbers)


def _observed(trials: Sequence[Trial]) -> float | None:
    return max((trial.value for trial in trials if trial.value is not None and not trial.probe), default=None)


def _floats(values: Sequence[float | None]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(values, dtype=float)
