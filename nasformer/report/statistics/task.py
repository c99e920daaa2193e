"""TaskAnalysis: the analysis of one task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nasformer.compare.comparison import TaskRecord
from nasformer.report.statistics.cautions import task_warnings
from nasformer.report.statistics.curves import Curve, curves, regret_curves
from nasformer.report.statistics.fronts import Front, fronts
from nasformer.report.statistics.pairs import Pair, compare_pairs
from nasformer.report.statistics.power import Power, power
from nasformer.report.statistics.runs import Runs
from nasformer.report.statistics.standings import Standing, choose_target, standings


@dataclass(frozen=True, eq=False)
class TaskAnalysis:
    """The analysis of one task.

    Args:
        record: Record of the task.
        curves: Anytime curve by label: true value (told if unknown) of the incumbent.
        regret_curves: Regret curve by label; empty if the optimum is unknown.
        ranking: Standings, best first.
        target: Value of "evaluations to target".
        target_rule: Origin of the target, in words.
        pairs: Pairwise comparisons.
        power: Power of the tests.
        fronts: Pareto front by label; empty if not requested.
        knows_true: Whether curves are of values without noise.
        resolution: Smallest difference of values above rounding error.
        warnings: Threats to validity.
    """

    record: TaskRecord
    curves: Mapping[str, Curve]
    regret_curves: Mapping[str, Curve]
    ranking: tuple[Standing, ...]
    target: float
    target_rule: str
    pairs: tuple[Pair, ...]
    power: Power
    fronts: Mapping[str, Front]
    knows_true: bool
    resolution: float
    warnings: tuple[str, ...]

    def pair(self, a: str, b: str) -> Pair:
        """Return the comparison of ``a`` with ``b``."""
        for pair in self.pairs:
            if {pair.a, pair.b} == {a, b}:
                return pair if pair.a == a else pair.mirrored()
        raise KeyError((a, b))


def analyse_task(runs: Runs, level: float, resamples: int, seed: int, front: str | None = None) -> TaskAnalysis:
    """Analyse the runs of one task."""
    target = choose_target(runs)
    drawn = curves(runs, level, resamples, seed)
    strength = power(runs, level, resamples, seed)
    return TaskAnalysis(
        record=runs.record,
        curves=drawn,
        regret_curves=regret_curves(drawn, runs.record.optimum),
        ranking=standings(runs, target.value),
        target=target.value,
        target_rule=target.rule,
        pairs=compare_pairs(runs, level),
        power=strength,
        fronts={} if front is None else fronts(runs, front),
        knows_true=runs.knows_true,
        resolution=runs.resolution,
        warnings=tuple(task_warnings(runs, strength)),
    )
