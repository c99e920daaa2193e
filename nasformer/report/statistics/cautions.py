"""Warnings about threats to validity, each naming the task and the strategies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nasformer.compare.comparison import Comparison
from nasformer.report.notation import counted, grouped, listed
from nasformer.report.statistics.power import Power
from nasformer.report.statistics.runs import Runs, middle

_CUT_SHORT = frozenset({"seconds", "paused", "no gain"})


def comparison_warnings(comparison: Comparison) -> Iterator[str]:
    """Yield warnings about the whole comparison."""
    if comparison.missing:
        whole = len(comparison.cells) + comparison.missing
        yield (
            f"{grouped(comparison.missing)} of {grouped(whole)} runs are missing; strategies are compared on common "
            "seeds."
        )
    for each in comparison.left_out:
        run = "" if each.seed is None else f" with seed {each.seed}"
        what = "is excluded" if each.seed is None else "failed"
        yield f"{each.task}: {each.strategy}{run} {what}: {each.reason.rstrip('.')}."
    if len(comparison.entrants) < 2:
        yield "There is only one strategy, so nothing is compared."


def task_warnings(runs: Runs, power: Power) -> Iterator[str]:
    """Yield warnings about one task, each starting with its name."""
    for warning in (_seeds, _evaluations, _lost, _spread, _failures, _alike, _confirmation):
        for sentence in warning(runs, power):
            yield f"{runs.record.name}: {sentence}"


def _seeds(runs: Runs, power: Power) -> Iterator[str]:
    if len(runs.labels) > 1 and power.seeds < power.fewest:
        yield (
            f"with {counted(power.seeds, 'common seed')} no difference among {counted(power.pairs, 'pair')} can be "
            f"significant; this needs {power.fewest}."
        )


def _evaluations(runs: Runs, power: Power) -> Iterator[str]:
    evaluated = runs.cells["evaluations"]
    exhausted = [label for label in runs.labels if runs.stopped[label] == {"exhausted"}]
    medians = {label: middle(evaluated[s]) for s, label in enumerate(runs.labels) if label not in exhausted}
    if len(set(medians.values())) > 1:
        written = [f"{label} {grouped(median)}" for label, median in medians.items()]
        yield f"the strategies have different numbers of evaluations (medians: {listed(written)})."
    cut = [label for label in runs.labels if runs.stopped[label] & _CUT_SHORT]
    if cut:
        yield f"runs of {listed(cut)} stopped before using all evaluations."


def _lost(runs: Runs, power: Power) -> Iterator[str]:
    without = runs.complete & np.isnan(runs.final)
    if without.any():
        names = [label for label, lost in zip(runs.labels, without, strict=True) if lost.any()]
        yield f"{counted(int(without.sum()), 'run')} of {listed(names)} ended without a value; the tests exclude them."


def _spread(runs: Runs, power: Power) -> Iterator[str]:
    finals, optimum = runs.final[~np.isnan(runs.final)], runs.record.optimum
    if not finals.size or len(runs.labels) < 2:
        return
    if optimum is not None and np.all(optimum - finals <= runs.resolution):
        yield "every run ends at the optimum; the task is too easy to distinguish these strategies."
    elif np.ptp(finals) <= runs.resolution:
        yield "every run ends with the same value; the task does not distinguish these strategies."
    elif optimum is not None and np.mean(optimum - finals <= runs.resolution) > 0.5:
        yield "more than half of all runs end at the optimum; compare evaluations to target instead."


def _failures(runs: Runs, power: Power) -> Iterator[str]:
    failed = np.nansum(runs.cells["failed"], axis=-1)
    if failed.any():
        written = [f"{label} {grouped(count)}" for label, count in zip(runs.labels, failed, strict=True) if count]
        yield f"evaluations failed ({listed(written)}); they count as evaluations without value."


def _alike(runs: Runs, power: Power) -> Iterator[str]:
    names = [label for s, label in enumerate(runs.labels) if runs.alike(s)]
    if names:
        yield (
            f"every seed of {listed(names)} evaluates the same architectures; its runs are copies of one run, and "
            "tests against it apply to that run only."
        )


def _confirmation(runs: Runs, power: Power) -> Iterator[str]:
    confirmed, observed = runs.cells["confirmed"], runs.cells["observed"]
    known = ~np.isnan(confirmed)
    if runs.record.noise > 0 and known.any() and np.mean(confirmed[known] == observed[known]) > 0.5:
        yield "winners keep the noisy value that selected them, so confirmed values are too good."
