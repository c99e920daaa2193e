"""Evaluations until a search passes the winner of many random ones."""

from __future__ import annotations

from nasformer.diagnose.bench import Bench
from nasformer.diagnose.jobs import Doing, JobResult, seconds_of
from nasformer.diagnose.searches import STRATEGY, SearchCurve

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
