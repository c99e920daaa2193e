"""Warnings about threats to validity: structured values, worded by ``words.j2``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nasformer.compare.comparison import Comparison
from nasformer.report.statistics.power import Power
from nasformer.report.statistics.runs import Runs, middle
from nasformer.report.words import say

_CUT_SHORT = frozenset({"seconds", "paused", "no gain"})


@dataclass(frozen=True)
class Caution:
    """A threat to validity.

    Args:
        kind: Which: the name of a macro of ``words.j2``, without ``caution_``.
        task: Name of the task; empty: of the whole comparison.
        values: Figures and strategies.
    """

    kind: str
    task: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.task}{': ' if self.task else ''}{say(f'caution_{self.kind}', **self.values)}"


def comparison_cautions(comparison: Comparison) -> Iterator[Caution]:
    """Yield warnings about the whole comparison."""
    if comparison.missing:
        yield Caution(
            "missing", values={"count": comparison.missing, "whole": len(comparison.cells) + comparison.missing}
        )
    for each in comparison.left_out:
        values = {"strategy": each.strategy, "seed": each.seed, "reason": each.reason.rstrip(".")}
        yield Caution("left_out", each.task, values)
    if len(comparison.entrants) < 2:
        yield Caution("single")


def task_cautions(runs: Runs, power: Power) -> Iterator[Caution]:
    """Yield warnings about one task."""
    for kind, values in _cautions(runs, power):
        yield Caution(kind, runs.record.name, values)


def _cautions(runs: Runs, power: Power) -> Iterator[tuple[str, Mapping[str, Any]]]:
    labels, cells = runs.labels, runs.cells
    if len(labels) > 1 and power.seeds < power.fewest:
        yield "few_seeds", {"seeds": power.seeds, "pairs": power.pairs, "fewest": power.fewest}
    medians = {
        label: middle(cells["evaluations"][s]) for s, label in enumerate(labels) if runs.stopped[label] != {"exhausted"}
    }
    if len(set(medians.values())) > 1:
        yield "unequal", {"medians": medians}
    if cut := [label for label in labels if runs.stopped[label] & _CUT_SHORT]:
        yield "cut_short", {"names": cut}
    lost = (runs.complete & np.isnan(runs.final)).sum(axis=-1)
    if lost.any():
        yield "lost", {"names": [label for label, n in zip(labels, lost, strict=True) if n], "count": int(lost.sum())}
    if (kind := _alike_ends(runs)) and len(labels) > 1:
        yield kind, {}
    failed = np.nansum(cells["failed"], axis=-1)
    if failed.any():
        yield "failures", {"counts": {label: float(n) for label, n in zip(labels, failed, strict=True) if n}}
    if copied := [label for s, label in enumerate(labels) if runs.alike(s)]:
        yield "copies", {"names": copied}
    known = ~np.isnan(cells["confirmed"])
    kept = cells["confirmed"][known] == cells["observed"][known]
    if runs.record.noise > 0 and known.any() and kept.mean() > 0.5:
        yield "unconfirmed", {}


def _alike_ends(runs: Runs) -> str:
    """Return how the runs' final values fail to distinguish the strategies; empty: they do."""
    finals, optimum = runs.final[~np.isnan(runs.final)], runs.record.optimum
    optimal = np.zeros(1) if optimum is None else optimum - finals <= runs.resolution
    if finals.size and optimal.all():
        return "all_optimal"
    if finals.size and np.ptp(finals) <= runs.resolution:
        return "all_equal"
    return "mostly_optimal" if finals.size and optimal.mean() > 0.5 else ""
