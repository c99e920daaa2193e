"""TaskAnalysis: the analysis of one task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasformer.compare.comparison import TaskRecord
from nasformer.report.statistics.cautions import Caution, task_cautions
from nasformer.report.statistics.curves import Curve, curves, regret_curves
from nasformer.report.statistics.fronts import Front, fronts
from nasformer.report.statistics.pairs import Pair, compare_pairs
from nasformer.report.statistics.power import Power, power
from nasformer.report.statistics.runs import Runs
from nasformer.report.statistics.standings import Standing, choose_target, standings

if TYPE_CHECKING:
    import pandas as pd


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
    warnings: tuple[Caution, ...]

    def pair(self, a: str, b: str) -> Pair:
        """Return the comparison of ``a`` with ``b``."""
        for pair in self.pairs:
            if {pair.a, pair.b} == {a, b}:
                return pair if pair.a == a else pair.mirrored()
        raise KeyError((a, b))

    def finals(self, cells: pd.DataFrame) -> tuple[pd.DataFrame, str]:
        """Return the task's cells of a comparison, and the column of their final values: without noise if known."""
        mine = cells[cells.task == self.record.name]
        return mine, "true" if self.knows_true and mine["true"].notna().all() else "confirmed"

    @property
    def of_best(self) -> list[Pair]:
        """The comparisons of the first in the ranking with each other, in its order."""
        best, *others = (standing.label for standing in self.ranking)
        return [self.pair(best, other) for other in others]

    @property
    def equals(self) -> list[str]:
        """The strategies whose median is that of the first in the ranking."""
        best, *others = self.ranking
        return [each.label for each in others if abs(each.median - best.median) <= self.resolution]


def analyse_task(runs: Runs, level: float, resamples: int, seed: int, front: str | None = None) -> TaskAnalysis:
    """Analyse the runs of one task."""
    target = choose_target(runs)
    drawn = curves(runs)
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
        warnings=tuple(task_cautions(runs, strength)),
    )
