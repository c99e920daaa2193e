"""Cautions: what makes a conclusion unsafe, each in a sentence that names the task and the strategies."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nasformer.compare.comparison import Comparison
from nasformer.report.notation import counted, grouped, listed
from nasformer.report.statistics.power import Power
from nasformer.report.statistics.runs import Runs, middle

_CUT_SHORT = frozenset({"seconds", "paused", "no gain"})


def comparison_warnings(comparison: Comparison) -> Iterator[str]:
    """Yield what concerns the comparison as a whole."""
    if comparison.missing:
        whole = len(comparison.cells) + comparison.missing
        yield (
            f"{grouped(comparison.missing)} of {grouped(whole)} runs are missing; strategies are compared on the "
            "seeds that both have."
        )
    for each in comparison.left_out:
        run = "" if each.seed is None else f" with seed {each.seed}"
        what = "does not take part" if each.seed is None else "failed"
        yield f"{each.task}: {each.strategy}{run} {what}: {each.reason.rstrip('.')}."
    if len(comparison.entrants) < 2:
        yield "One strategy took part: there is nothing to compare it with."


def task_warnings(runs: Runs, power: Power) -> Iterator[str]:
    """Yield what concerns one task, each beginning with its name."""
    for warning in (_seeds, _evaluations, _lost, _spread, _failures, _alike, _confirmation):
        for sentence in warning(runs, power):
            yield f"{runs.record.name}: {sentence}"


def _seeds(runs: Runs, power: Power) -> Iterator[str]:
    if len(runs.labels) > 1 and power.seeds < power.fewest:
        yield (
            f"with {counted(power.seeds, 'seed')} in common no difference, however clear, is significant among "
            f"{counted(power.pairs, 'pair')}; it takes {power.fewest}."
        )


def _evaluations(runs: Runs, power: Power) -> Iterator[str]:
    evaluated = runs.cells["evaluations"]
    exhausted = [label for label in runs.labels if runs.stopped[label] == {"exhausted"}]
    medians = {label: middle(evaluated[s]) for s, label in enumerate(runs.labels) if label not in exhausted}
    if len(set(medians.values())) > 1:
        written = [f"{label} {grouped(median)}" for label, median in medians.items()]
        yield f"the strategies did not evaluate equally many architectures (medians: {listed(written)})."
    cut = [label for label in runs.labels if runs.stopped[label] & _CUT_SHORT]
    if cut:
        yield f"runs of {listed(cut)} were stopped before their evaluations were spent."


def _lost(runs: Runs, power: Power) -> Iterator[str]:
    without = runs.complete & np.isnan(runs.final)
    if without.any():
        names = [label for label, lost in zip(runs.labels, without, strict=True) if lost.any()]
        yield f"{counted(int(without.sum()), 'run')} of {listed(names)} ended without a value and are in no test."


def _spread(runs: Runs, power: Power) -> Iterator[str]:
    finals, optimum = runs.final[~np.isnan(runs.final)], runs.record.optimum
    if not finals.size or len(runs.labels) < 2:
        return
    if optimum is not None and np.all(optimum - finals <= runs.resolution):
        yield "every run ends at the optimum; the task is too easy to tell these strategies apart."
    elif np.ptp(finals) <= runs.resolution:
        yield "every run ends with the same value; the task does not tell these strategies apart."
    elif optimum is not None and np.mean(optimum - finals <= runs.resolution) > 0.5:
        yield "more than half of all runs end at the optimum; look at how fast they reach it."


def _failures(runs: Runs, power: Power) -> Iterator[str]:
    failed = np.nansum(runs.cells["failed"], axis=-1)
    if failed.any():
        written = [f"{label} {grouped(count)}" for label, count in zip(runs.labels, failed, strict=True) if count]
        yield f"evaluations failed ({listed(written)}); they count as evaluations and have no value."


def _alike(runs: Runs, power: Power) -> Iterator[str]:
    names = [label for s, label in enumerate(runs.labels) if runs.alike(s)]
    if names:
        yield (
            f"every seed of {listed(names)} evaluates the same architectures; its runs are one run repeated, and tests "
            "against it speak of that run alone."
        )


def _confirmation(runs: Runs, power: Power) -> Iterator[str]:
    confirmed, observed = runs.cells["confirmed"], runs.cells["observed"]
    known = ~np.isnan(confirmed)
    if runs.record.noise > 0 and known.any() and np.mean(confirmed[known] == observed[known]) > 0.5:
        yield "winners keep the noisy value that chose them; confirmed values are too high."
