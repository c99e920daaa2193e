"""Evaluations until a search passes the winner of many random ones."""

from __future__ import annotations

from collections.abc import Iterator

from nasformer.diagnose.bench import Bench
from nasformer.diagnose.jobs import STRATEGY, Doing, JobResult, SearchCurve, seconds_of
from nasformer.diagnose.piece import Chapter, Claim, Context, JsonObject, Piece, spread_line
from nasformer.report.page import Tile
from nasformer.report.tables.table import Cell, Table, named, number
from nasformer.report.words import say
from nasformer.tasks import Metric

STRATEGIES = (STRATEGY, "evolution", "random")


def efficiency(bench: Bench, do: Doing) -> JobResult:
    """Count the evaluations under the middle budget until strategies pass the winner of ``plan.random`` random ones."""
    plan, seeds = bench.plan, range(bench.plan.seeds)
    rivals = [SearchCurve("random", plan.random, seed) for seed in seeds]
    jobs = [SearchCurve(name, plan.evaluations, seed) for name in STRATEGIES for seed in seeds]
    found = do(bench, [*rivals, *jobs], "searches")
    targets, curves = [each["curve"][-1] for each in found[: len(seeds)]], found[len(seeds) :]
    rows = []
    for place, name in enumerate(STRATEGIES):
        own = [each["curve"] for each in curves[place * len(seeds) : (place + 1) * len(seeds)]]
        passed = [_passed(curve, target) for curve, target in zip(own, targets, strict=True)]
        rows.append({"strategy": name, "passed": passed, "curves": own})
    return {
        "seconds": seconds_of(found),
        "evaluations": plan.evaluations,
        "random": plan.random,
        "images": len(bench.searched),
        "ranked_by": bench.ranking or bench.metric.name,
        "targets": targets,
        "rows": rows,
    }


def _passed(curve: list[float], target: float) -> int | None:
    """Return the number of evaluations until a curve passes a value; None: it does not."""
    return next((count for count, value in enumerate(curve, 1) if value > target), None)


def claims(piece: JsonObject, metric: Metric) -> Iterator[Claim]:
    """Test whether a search passes the winner of many random ones with every seed."""
    row = piece["rows"][0]
    verdict, sizes = "does not hold" if None in row["passed"] else "holds", ("evaluations", "random")
    figures = {"strategy": row["strategy"], "passed": row["passed"], **{name: piece[name] for name in sizes}}
    yield {"claim": "efficiency", **figures, "verdict": verdict}


def chapter(piece: JsonObject, context: Context) -> Chapter:
    """Return the chapter."""
    from nasformer.report.figures import draw_lines

    metric, rows, most = context.task.objective(piece["ranked_by"]), piece["rows"], piece["evaluations"]
    lines = []
    for row in rows:
        values = [[metric.sign * curve[min(at, len(curve) - 1)] for curve in row["curves"]] for at in range(most)]
        lines.append(spread_line(row["strategy"], range(1, most + 1), values))
    random = [[metric.sign * value for value in piece["targets"]]] * 2
    lines.append(spread_line(f"best of {piece['random']:,} random", [1, most], random))
    figure = draw_lines(
        "efficiency",
        f"Best search {metric.title} so far, by strategy",
        f"Inherited {metric.title} of the incumbent on {piece['images']:,} search examples: mean and span over seeds.",
        lines,
        context.series,
        x="evaluations",
        y=f"search {metric.heading}",
        steps=True,
    )
    cells = [[named(row["strategy"], context.series), *(_counted(count) for count in row["passed"])] for row in rows]
    caption = f"Evaluations, of {most:,}, until a search passed the best of {piece['random']:,} random ones."
    header = ["strategy", *(f"seed {seed}" for seed in range(len(piece["targets"])))]
    passed = ", ".join("never" if count is None else str(count) for count in rows[0]["passed"])
    tile = Tile(f"evaluations to pass {piece['random']:,} random", passed, f"{rows[0]['strategy']}, by seed")
    table = Table("efficiency", caption, header, cells)
    return Chapter(say("piece_efficiency", piece=piece), [figure], [table], [tile])


def _counted(count: int | None) -> Cell:
    return Cell("never") if count is None else number(count)


SIZES = ("search_images", "budgets", "evaluations", "random", "seeds")
EFFICIENCY = Piece("Evaluations of a search", SIZES, efficiency, chapter, claims)
