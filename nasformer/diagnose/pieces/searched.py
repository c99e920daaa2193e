"""Search strategies at equal numbers of evaluations, and the winner against the uniform ViT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nasformer.architecture import Architecture
from nasformer.diagnose.bench import Bench
from nasformer.diagnose.intervals import difference_of, mean_of
from nasformer.diagnose.jobs import Alone, JobResult
from nasformer.diagnose.pieces.piece import Doing, Piece, searches, seconds_of


def strategies(bench: Bench, do: Doing) -> Piece:
    """Measure search and test value of each strategy's winners at equal numbers of evaluations."""
    found = searches(bench, do)
    winners = [Architecture.from_dict(each["architecture"]) for row in found.values() for each in row]
    test = dict(zip(winners, bench.values(winners, bench.data.test), strict=True))
    rows = [_row(name, row, test) for name, row in found.items()]
    base = rows[-1]
    return {
        "seconds": seconds_of(*found.values()),
        "evaluations": bench.plan.evaluations,
        "seeds": bench.plan.searches,
        "images": len(bench.searched),
        "rows": rows,
        "differences": [_paired(row, base) for row in rows[:-1]],
    }


def _row(name: str, found: Sequence[JobResult], test: Mapping[Architecture, float]) -> Piece:
    after = [test[Architecture.from_dict(each["architecture"])] for each in found]
    length = min(len(each["curve"]) for each in found)
    curve = np.median([each["curve"][:length] for each in found], axis=0)
    return {
        "strategy": name,
        "search": [each["search"] for each in found],
        "test": after,
        "mean": mean_of(after),
        "curve": [[count, float(value)] for count, value in enumerate(curve, 1)],
    }


def _paired(row: Piece, base: Piece) -> Piece:
    from scipy import stats

    differences = np.subtract(row["test"], base["test"])
    p = 1.0 if not differences.any() else float(stats.wilcoxon(differences).pvalue)
    return {"of": row["strategy"], "minus": base["strategy"], "mean": mean_of(differences), "p": p}


def winner(bench: Bench, do: Doing) -> Piece:
    """Compare the winner of all searches with the uniform ViT of nearest cost, retrained with several seeds."""
    found = [each for row in searches(bench, do).values() for each in row]
    best = Architecture.from_dict(max(found, key=lambda each: each["search"])["architecture"])
    params = bench.net.space.params
    plain = min(bench.feasible.uniform(), key=lambda each: abs(params(each) - params(best)))
    both, seeds = {"winner": best, "uniform ViT": plain}, range(bench.plan.retrainings)
    jobs = [Alone("retrain", each, bench.plan.last, seed) for each in both.values() for seed in seeds]
    alone = do(bench, jobs, "winner")
    scores = [bench.value(each) for each in alone]
    of_each = scores[: len(seeds)], scores[len(seeds) :]
    rows = [
        {
            "name": name,
            "architecture": architecture.to_dict(),
            **bench.net.space.costs(architecture),
            "inherited": bench.values([architecture], bench.data.test)[0],
            "retrained": after,
            "mean": mean_of(after),
        }
        for (name, architecture), after in zip(both.items(), of_each, strict=True)
    ]
    return {
        "seconds": seconds_of(found, alone),
        "epochs": bench.plan.last["epochs"],
        "rows": rows,
        "difference": {"of": "winner", "minus": "uniform ViT", "mean": difference_of(*of_each), "n": len(seeds)},
    }
