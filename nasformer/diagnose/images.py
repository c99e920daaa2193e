"""How many search images a ranking needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer.diagnose.bench import Bench
from nasformer.diagnose.intervals import IntervalEstimate, kendall, spread_of
from nasformer.diagnose.jobs import Doing, JobResult
from nasformer.diagnose.piece import Chapter, Context, JsonObject, Piece, estimate_cell
from nasformer.report.notation import grouped
from nasformer.report.tables.table import columns, number
from nasformer.report.words import say

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


def chapter(piece: JsonObject, context: Context) -> Chapter:
    """Return the chapter."""
    from nasformer.report.figures import Line, draw_lines

    rows: Sequence[Any] = piece["rows"]
    kinds = [name for name, told in (rows or ({},))[0].items() if isinstance(told, Mapping)]
    sizes, lines = [row["images"] for row in rows], []
    for kind in kinds:
        lines.append(Line(kind, sizes, *([row[kind][end] for row in rows] for end in ("value", "low", "high"))))
    title = "Agreement of the ranking on a subset of images with that on all"
    caption = say("figure_images", piece=piece)
    figure = draw_lines("images", title, caption, lines, context.series, x="images", y="Kendall τ", log=True)
    agreement: dict[str, Callable[[Any], str]] = {
        f"by {kind}": partial(lambda kind, row: estimate_cell(row[kind]), kind) for kind in kinds
    }
    cells = {"examples": lambda row: number(row["images"], grouped), **agreement}
    table = columns("images", say("table_images", piece=piece), rows, cells)
    return Chapter(say("piece_images", piece=piece, kinds=kinds), [figure], [table])


IMAGES = Piece("How many images a ranking needs", ("pool", "seed"), images, chapter)
