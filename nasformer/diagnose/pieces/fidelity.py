"""Inherited against retrained values of the same architectures: over the whole range, and in a band of one budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nasformer.architecture import Architecture
from nasformer.diagnose.bench import Bench
from nasformer.diagnose.intervals import mean_of, ranks
from nasformer.diagnose.jobs import Doing, JobResult, seconds_of
from nasformer.diagnose.trainings import Alone

Rows = Sequence[Mapping[str, Any]]


def fidelity(bench: Bench, do: Doing) -> JobResult:
    """Measure inherited and retrained values of random architectures, their rank correlations, and the gap."""
    plan = bench.plan
    samples = {
        "range": bench.spread(plan.architectures, "range"),
        "band": bench.sample(plan.band, "band", bench.band) if plan.band else [],
    }
    everything = [each for sample in samples.values() for each in sample]
    short = {**plan.recipe, "epochs": plan.epochs or plan.recipe["epochs"]}
    long = {**plan.recipe, "epochs": bench.training["recipe"]["epochs"]}
    long |= {key: bench.training["recipe"][key] for key in ("epoch_images", "warmup_epochs")}
    jobs = [Alone(each, short) for each in everything]
    jobs += [Alone(each, long) for each in samples["range"][: plan.long]]
    found = do(bench, jobs, "trained alone")
    alone, longer = found[: len(everything)], found[len(everything) :]
    rows = _rows(bench, everything, alone)
    parts = {"range": rows[: plan.architectures], "band": rows[plan.architectures :]}
    for row, result in zip(parts["range"], longer, strict=False):
        row["long"] = bench.value(result)
    gaps = [row["long"] - row["inherited"] for row in parts["range"] if "long" in row]
    return {
        "seconds": seconds_of(found),
        "images": len(bench.data.test),
        "epochs": {"supernet": bench.epochs, "retrained": alone[0]["epochs"]},
        "ranked_by": bench.ranking or bench.metric.name,
        "parts": [{"name": name, "rows": own, "ranks": _ranks(own)} for name, own in parts.items() if own],
        "gap": {"n": len(gaps), "mean": mean_of(gaps)} if gaps else None,
    }


def _rows(bench: Bench, architectures: Sequence[Architecture], alone: Sequence[JobResult]) -> list[dict[str, Any]]:
    space, ranking = bench.net.space, bench.ranking
    return [
        {
            "architecture": architecture.to_dict(),
            **space.costs(architecture),
            "inherited": before.value,
            "ranking": -before.metrics[ranking] if ranking and ranking in before.metrics else before.value,
            "retrained": bench.value(after),
        }
        for architecture, before, after in zip(
            architectures, bench.judged(architectures, bench.data.test), alone, strict=True
        )
    ]


def _ranks(rows: Rows) -> list[JobResult]:
    """Return the rank correlation of each figure with the retrained values."""
    retrained = [row["retrained"] for row in rows]
    figures = ("ranking", "inherited", "params", "macs")
    return [{"of": of, "n": len(rows), **ranks([row[of] for row in rows], retrained)} for of in figures]
