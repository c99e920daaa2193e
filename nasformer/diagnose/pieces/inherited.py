"""Inherited against fine-tuned and retrained values of the same architectures."""

from __future__ import annotations

from typing import Any

import numpy as np

from nasformer.diagnose.bench import Bench
from nasformer.diagnose.intervals import mean_of, ranks
from nasformer.diagnose.jobs import Alone, JobResult
from nasformer.diagnose.pieces.piece import Doing, Piece, Rows, column, having, seconds_of

_PAIRS = (
    ("inherited", "retrained"),
    ("inherited_loss", "retrained"),
    ("finetuned", "retrained"),
    ("inherited", "finetuned"),
    ("params", "retrained"),
)


def fidelity(bench: Bench, do: Doing) -> Piece:
    """Measure inherited, fine-tuned and retrained values of random architectures, and rank correlations."""
    plan, space = bench.plan, bench.net.space
    drawn = bench.sample(plan.architectures, "fidelity")
    jobs = [Alone("retrain", each, plan.recipe) for each in drawn]
    jobs += [Alone("finetune", each, plan.finetuning) for each in drawn[: plan.finetuned]]
    found = do(bench, jobs, "trained alone")
    alone, tuned = found[: len(drawn)], found[len(drawn) :]
    after: list[JobResult | None] = [*tuned, *[None] * (len(drawn) - len(tuned))]
    inherited = bench.judged(drawn, bench.data.test)
    rows = [
        {
            "architecture": architecture.to_dict(),
            **space.costs(architecture),
            "inherited": before.value,
            **({"inherited_loss": before.metrics["loss"]} if bench.metric.name == "accuracy" else {}),
            "finetuned": None if later is None else bench.value(later),
            "retrained": bench.value(fresh),
        }
        for architecture, before, later, fresh in zip(drawn, inherited, after, alone, strict=True)
    ]
    return {
        "seconds": seconds_of(found),
        "images": len(bench.data.test),
        "epochs": {
            "supernet": bench.epochs,
            "finetuned": plan.finetuning["epochs"],
            "retrained": plan.recipe["epochs"],
        },
        "architectures": rows,
        "ranks": [_ranked(rows, of, against) for of, against in _PAIRS if of in rows[0]],
    }


def _ranked(rows: Rows, of: str, against: str) -> Piece:
    """Return the rank correlations of two figures; lower losses rank first."""
    both = having(rows, of, against)
    sign = -1.0 if of.endswith("loss") else 1.0
    figures = [sign * value for value in column(both, of)], column(both, against)
    return {"of": of.replace("_", " "), "against": against, "n": len(both), **ranks(*figures)}


def gap(fidelity: Piece) -> Piece:
    """Return the gap of inherited weights, for the architectures of ``fidelity``."""
    rows = fidelity["architectures"]
    pairs = (("retrained", "inherited"), ("retrained", "finetuned"), ("finetuned", "inherited"))
    told = {name: column(having(rows, name), name) for name in ("inherited", "finetuned", "retrained")}
    return {
        "epochs": fidelity["epochs"],
        "rows": [{"name": name, "n": len(values), "mean": mean_of(values)} for name, values in told.items()],
        "differences": [_between(having(rows, a, b), a, b) for a, b in pairs],
    }


def _between(rows: Rows, of: str, minus: str) -> dict[str, Any]:
    differences = np.subtract(column(rows, of), column(rows, minus))
    return {"of": of, "minus": minus, "n": len(rows), "mean": mean_of(differences)}
