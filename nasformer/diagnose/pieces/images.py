"""How many search images a ranking needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nasformer.diagnose.bench import Bench
from nasformer.diagnose.intervals import IntervalEstimate, kendall, spread_of
from nasformer.diagnose.jobs import Doing, JobResult

_SUBSETS = (50, 100, 200, 500, 1000, 2000, 5000)
_DRAWS = 200


def images(bench: Bench, do: Doing) -> JobResult:
    """Measure the agreement of rankings on subsets of the search images with that on all of them."""
    pool = bench.sample(bench.plan.pool, "pool")
    told = bench.outcomes(pool)
    task = bench.data.task
    means = [task.objective(name) for name in task.objectives if name in told[0].scores]  # on a part of the images too
    columns = {each.name: np.stack([outcome.values(task, each) for outcome in told]) for each in means}
    full, draw = len(bench.data.search), np.random.default_rng(bench.plan.seed)
    rows = []
    for count in [size for size in _SUBSETS if size < full]:
        subsets = [draw.choice(full, count, replace=False) for _ in range(_DRAWS)]
        rows.append({"images": count, **{name: _agreement(told, subsets) for name, told in columns.items()}})
    return {"architectures": len(pool), "full": full, "draws": _DRAWS, "rows": rows}


def _agreement(columns: NDArray[np.float64], subsets: Sequence[NDArray[np.int64]]) -> IntervalEstimate:
    whole = columns.mean(axis=1)
    return spread_of([kendall(columns[:, subset].mean(axis=1), whole) for subset in subsets])
