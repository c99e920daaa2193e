"""TaskAnalysis: everything that is found on one task."""

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
    """What the runs of one task show.

    Args:
        record: What is said of the task.
        curves: Anytime curve by label: true value (told where that is not known) of the highest told so far.
        regret_curves: Distance from the optimum by label; empty where it is not known.
        ranking: A line for each strategy, best first.
        target: The value that "to target" asks for.
        target_rule: How it was chosen, in words.
        pairs: Every strategy against every other.
        power: What this number of seeds could have shown.
        fronts: Best value at each cost by label; empty where not asked for.
        knows_true: Whether curves are of values without noise.
        resolution: What values must differ by to differ by more than rounding.
        warnings: What makes a conclusion from this task unsafe.
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
        """Return the comparison of two strategies from the side of ``a``."""
        for pair in self.pairs:
            if {pair.a, pair.b} == {a, b}:
                return pair if pair.a == a else pair.mirrored()
        raise KeyError((a, b))


def analyse_task(runs: Runs, level: float, resamples: int, seed: int, front: str | None = None) -> TaskAnalysis:
    """Return what the runs of one task show."""
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
