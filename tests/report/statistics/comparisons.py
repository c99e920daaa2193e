"""Comparisons made of arrays, so that a test states its runs as a matrix of seeds by evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from nasformer.compare.comparison import Comparison, Entrant, TaskRecord
from nasformer.cost import as_limits
from nasformer.space import load_space

SPACE = load_space("digits")
LIMITS = as_limits({"params": 80_000}, ["params", "macs"])


def compared(
    *tasks: Mapping[str, ArrayLike],
    true: tuple[Mapping[str, ArrayLike], ...] | None = None,
    params: Mapping[str, ArrayLike] | None = None,
    cells: Mapping[str, Any] | None = None,
    **record: Any,
) -> Comparison:
    """Return a comparison of runs, given for each task by label as (seeds, evaluations) of told values.

    Args:
        *tasks: Told values; NaN where an evaluation failed.
        true: Values without noise in the same shape; None: what was told.
        params: Parameters in the same shape, on every task; None: 1, 2, 3, ... in every run.
        cells: Columns of the cells to overwrite.
        **record: Of every task.
    """
    frames = [
        _run(f"task{number}", label, seed, row, np.atleast_2d((true or tasks)[number][label])[seed])
        for number, runs in enumerate(tasks)
        for label, rows in runs.items()
        for seed, row in enumerate(np.atleast_2d(rows))
    ]
    if params is not None:
        for trials, _ in frames:
            given = np.atleast_2d(params[trials["strategy"].iloc[0]])
            trials["params"] = given[trials["seed"].iloc[0]]
    trials = pd.concat([trials for trials, _ in frames], ignore_index=True)
    longest = int(trials["evaluation"].max())
    records = tuple(
        TaskRecord(f"task{number}", SPACE, LIMITS, **{"fitness": {"kind": "table"}, "evaluations": longest, **record})
        for number in range(len(tasks))
    )
    labels = list(dict.fromkeys(label for runs in tasks for label in runs))
    seeds = tuple(range(1 + int(trials["seed"].max())))
    table = pd.DataFrame([cell for _, cell in frames]).assign(**(cells or {}))
    return Comparison("A test", records, tuple(Entrant(label, label) for label in labels), seeds, trials, table)


def finals(**values: ArrayLike) -> dict[str, ArrayLike]:
    """Return runs of one evaluation each, given their values by seed."""
    return {label: np.asarray(found, dtype=float)[:, None] for label, found in values.items()}


def _run(task: str, label: str, seed: int, told: Any, true: Any) -> tuple[pd.DataFrame, dict[str, object]]:
    count = np.arange(1, len(told) + 1)
    named = {"task": task, "strategy": label, "seed": seed}
    trials = pd.DataFrame(
        {**named, "evaluation": count, "value": told, "true": true, "loss": np.nan, "params": count, "macs": 7}
    ).assign(seconds=2.0)
    best = int(np.nanargmax(told)) if np.isfinite(told).any() else None
    winner = np.nan if best is None else float(true[best])
    return trials, {
        **named,
        "architecture": "{}",
        "params": best,
        "macs": 7,
        "confirmed": winner,
        "true": winner,
        "test": winner - 0.25,
        "observed": np.nan if best is None else float(told[best]),
        "regret": np.nan,
        "evaluations": len(told),
        "duplicates": 3,
        "infeasible": 2,
        "replaced": 1,
        "failed": int(np.isnan(told).sum()),
        "strategy_seconds": 0.5 * len(told),
        "evaluation_seconds": 2.0 * len(told),
        "total_seconds": 2.5 * len(told),
        "stopped": "evaluations",
    }
