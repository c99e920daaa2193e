"""Effect of the number of search images on rankings, and of selection on the winner's value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from nasformer.diagnose.bench import Bench
from nasformer.diagnose.intervals import IntervalEstimate, kendall, spread_of
from nasformer.diagnose.pieces.piece import Doing, Piece

_SUBSETS = (50, 100, 200, 500, 1000, 2000, 5000)
_COUNTS = (1, 2, 5, 10, 20, 50, 100)
_DRAWS = 200


def images(bench: Bench, do: Doing) -> Piece:
    """Measure the agreement of rankings on subsets of the search images with that on all of them."""
    pool = bench.sample(bench.plan.pool, "pool")
    told = bench.outcomes(pool, "search")
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


def curse(bench: Bench, do: Doing) -> Piece:
    """Measure the winner's curse: search minus test value of the best of several."""
    pool = bench.sample(bench.plan.pool, "pool")
    main = bench.data.task.objective()
    seen = np.stack([each.values(bench.data.task, main) for each in bench.outcomes(pool, "search")])
    test = np.stack([each.values(bench.data.task, main) for each in bench.outcomes(pool, "test")]).mean(axis=1)
    bias = float((seen.mean(axis=1) - test).mean())
    draw, shown = np.random.default_rng(bench.plan.seed), min(bench.plan.search_images, seen.shape[1])
    rows = []
    for count in [count for count in _COUNTS if count <= len(pool)]:
        found = [_best(seen, test, count, shown, draw) for _ in range(_DRAWS)]
        search, after = np.mean(found, axis=0).tolist()
        told = [a - b for a, b in found]
        rows.append({"evaluations": count, "search": search, "test": after, "difference": spread_of(told)})
    return {"architectures": len(pool), "images": shown, "draws": _DRAWS, "bias": bias, "rows": rows}


def _best(
    seen: NDArray[np.float64], test: NDArray[np.float64], count: int, shown: int, draw: np.random.Generator
) -> tuple[float, float]:
    """Return search and test value of the best of ``count`` on ``shown`` images, both resampled."""
    some = draw.choice(len(seen), count, replace=False)
    scores = seen[np.ix_(some, draw.choice(seen.shape[1], shown, replace=False))].mean(axis=1)
    best = int(scores.argmax())
    return float(scores[best]), float(test[some[best]])
