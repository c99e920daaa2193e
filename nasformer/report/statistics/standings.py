"""Standings: summary statistics per strategy of a task, best first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nasformer.report.statistics.runs import Floats, Runs, middle


class Target(NamedTuple):
    """The target value of "evaluations to target", and its origin."""

    value: float
    rule: str


@dataclass(frozen=True)
class Standing:
    """Summary statistics of one strategy on one task; medians are over seeds, None: unknown."""

    label: str
    n: int  # seeds with a final value
    median: float  # of final values, as the next three
    quartiles: tuple[float, float]
    best: float
    worst: float
    mean_regret: float | None  # of final values
    median_regret: float | None
    auc: float | None  # median of the mean of the anytime curve over evaluations
    reached: float  # fraction of seeds that reach the target
    evaluations_to_target: float | None  # median, infinite for seeds that never reach it; None if infinite
    seconds_to_target: float | None  # the same in seconds of evaluation, with the strategy's time in proportion
    optimum_found: float | None  # fraction of seeds with zero regret
    observed_bias: float | None  # median of the highest told value minus the winner's true value
    curse: float | None  # median of the winner's confirmed value minus its test value
    strategy_seconds: float | None
    evaluation_seconds: float | None
    ms_per_ask: float | None  # strategy time per evaluated architecture
    evaluations: float | None  # distinct ones
    duplicates: float | None  # proposals, as the next
    infeasible: float | None
    replaced: float | None  # proposals replaced by random samples
    failed: float | None  # evaluations


def choose_target(runs: Runs) -> Target:
    """Return the task's own target, else the median of the runs' last values over all strategies."""
    if runs.record.target is not None:
        return Target(runs.record.target, "the target of the task")
    last = runs.curve[..., -1]
    known = last[runs.complete & ~np.isnan(last)]
    value = float(np.quantile(known, 0.5, method="lower")) if known.size else float("nan")
    return Target(value, "the median of the last values of all runs")


def standings(runs: Runs, target: float) -> tuple[Standing, ...]:
    """Return the standing of each strategy with a final value: highest median first, then highest mean."""
    known = [strategy for strategy in range(len(runs.labels)) if _finals(runs, strategy).size]

    def order(strategy: int) -> tuple[float, float]:
        finals = _finals(runs, strategy)
        return -float(runs.rounded(np.median(finals))), -float(runs.rounded(finals.mean()))

    return tuple(_standing(runs, strategy, target) for strategy in sorted(known, key=order))


def reach(runs: Runs, strategy: int, target: float) -> tuple[Floats, Floats]:
    """Return evaluations and seconds to target, (complete seeds,) each; infinite if never reached."""
    ran = runs.complete[strategy]
    hit = runs.curve[strategy, ran] >= target
    first = np.argmax(hit, axis=-1)
    evaluations = np.where(hit.any(axis=-1), first + 1.0, np.inf)
    spent = np.take_along_axis(np.nancumsum(runs.seconds[strategy, ran], axis=-1), first[:, None], axis=-1)[:, 0]
    share = (first + 1) / np.maximum(1, runs.cells["evaluations"][strategy, ran])
    seconds = spent + runs.cells["strategy_seconds"][strategy, ran] * share
    return evaluations, np.where(np.isinf(evaluations), np.inf, seconds)


def _finals(runs: Runs, strategy: int) -> Floats:
    values: Floats = runs.final[strategy]
    return values[~np.isnan(values)]


def _standing(runs: Runs, strategy: int, target: float) -> Standing:
    finals, cells = _finals(runs, strategy), {name: column[strategy] for name, column in runs.cells.items()}
    low, median, high = (float(value) for value in np.quantile(finals, (0.25, 0.5, 0.75)))
    regret = None if runs.record.optimum is None else np.maximum(0.0, runs.record.optimum - finals)
    evaluations, seconds = reach(runs, strategy, target)
    per_ask = 1000 * cells["strategy_seconds"] / np.maximum(1, cells["evaluations"])
    return Standing(
        label=runs.labels[strategy],
        n=len(finals),
        median=median,
        quartiles=(low, high),
        best=float(finals.max()),
        worst=float(finals.min()),
        mean_regret=None if regret is None else float(regret.mean()),
        median_regret=None if regret is None else float(np.median(regret)),
        auc=_area(runs.curve[strategy, runs.complete[strategy]]),
        reached=float(np.isfinite(evaluations).mean()),
        evaluations_to_target=_finite_median(evaluations),
        seconds_to_target=_finite_median(seconds),
        optimum_found=None if regret is None else float((regret <= runs.resolution).mean()),
        observed_bias=middle(cells["observed"] - cells["true"]),
        curse=middle(cells["confirmed"] - cells["test"]),
        ms_per_ask=middle(per_ask),
        **{name: middle(cells[name]) for name in _COUNTED},
    )


_COUNTED = ("strategy_seconds", "evaluation_seconds", "evaluations", "duplicates", "infeasible", "replaced", "failed")


def _area(curve: Floats) -> float | None:
    known = ~np.isnan(curve)
    heights = np.where(known, curve, 0.0).sum(axis=-1) / np.maximum(1, known.sum(axis=-1))
    return middle(np.where(known.any(axis=-1), heights, np.nan))


def _finite_median(values: Floats) -> float | None:
    """Return the median where infinite means never; None where the median is infinite or unknown.

    >>> _finite_median(np.array([3.0, 5.0, np.inf])), _finite_median(np.array([3.0, np.inf]))
    (5.0, None)
    """
    median = float(np.median(values)) if not np.isnan(values).any() else float("nan")
    return median if np.isfinite(median) else None
