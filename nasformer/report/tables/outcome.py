"""Outcome: what each strategy found on a task, and what it spent."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from nasformer.architecture import Architecture
from nasformer.compare import Comparison
from nasformer.report.notation import MISSING, Measure, amount, cost_name, duration, grouped, signed
from nasformer.report.tables.table import Cell, Table, count, measured, number, without_empty

if TYPE_CHECKING:
    import pandas as pd

    from nasformer.report.statistics import Standing, TaskAnalysis

_SHOWN = 12
_SAID = {
    "mean over run": "Mean over run: the best so far, averaged over all evaluations; it is high where good "
    "architectures come early.",
    "observed − true": "Observed − true: by how much noise and the choice of the highest flattered the best value "
    "told, the median over seeds.",
    "search − test": "Search − test: by how much the winner's value on the search split is above that on the test "
    "split, the median over seeds.",
}
Series = Mapping[str, int]
"""Number of each strategy, by label."""


def named(label: str, series: Series) -> Cell:
    """Return a strategy's name as a cell that lights up with it."""
    return Cell(label, series=series[label])


def measure_of(task: TaskAnalysis) -> Measure:
    """Return how values of a task are written."""
    ends = [value for standing in task.ranking for value in (standing.best, standing.worst)]
    return Measure.of(ends, task.record.in_percent)


def difference(value: float | None) -> Cell:
    """Return a difference as a cell."""
    return number(value, None if value is None else signed(value))


def ranking_table(task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return the strategies in the order of what they found."""
    unit = ", %" if task.record.in_percent else ""
    header = ["strategy", "seeds", f"median{unit}", f"quartiles{unit}", "best", "worst", "median regret", "mean regret"]
    header += ["optimum found", "mean over run", "observed − true", "search − test"]
    rows = [_standing(standing, series, measure_of(task)) for standing in task.ranking]
    table = without_empty(Table(name, "", header, rows))
    caption = "What the confirmed winners are worth, over seeds, best median first. "
    return replace(table, caption=caption + " ".join(said for column, said in _SAID.items() if column in table.header))


def _standing(standing: Standing, series: Series, measure: Measure) -> list[str]:
    low, high = standing.quartiles
    ends = Cell(f"{measure.bare(low)} – {measure.bare(high)}", low) if standing.n > 1 else Cell(MISSING)
    median, best, worst, mean = (
        number(value, None if value is None else measure.bare(value))
        for value in (standing.median, standing.best, standing.worst, standing.auc)
    )
    return [
        named(standing.label, series),
        count(standing.n),
        median,
        ends,
        best,
        worst,
        number(standing.median_regret, _three(standing.median_regret)),
        number(standing.mean_regret, _three(standing.mean_regret)),
        _share(standing.optimum_found),
        mean,
        difference(standing.observed_bias),
        difference(standing.curse),
    ]


def _three(value: float | None) -> str | None:
    return None if value is None else "0" if value == 0 else f"{value:#.3g}".rstrip(".")


def _share(share: float | None) -> Cell:
    return number(share, None if share is None else f"{100 * share:.0f} %")


def effort_table(task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return how soon each strategy reached the target, where there is one to reach, and what it spent."""
    runs = sum(standing.n for standing in task.ranking)
    aimed = math.isfinite(task.target) and (task.record.target is not None or runs > 1)
    header = ["duplicates", "infeasible", "failed", "evaluating", "in the strategy", "ask + tell"]
    caption = "What each strategy spent, the median over seeds. "
    if aimed:
        header = ["reached", "evaluations to target", "time to target", *header]
        caption = (
            f"How soon each strategy reached the target of {measure_of(task).written(task.target)} "
            f"({task.target_rule}), and what it spent. All but the share of seeds that reached it are medians over "
            "seeds; a seed that never reached it counts as later than any that did. "
        )
    caption += "Duplicate and infeasible proposals cost no evaluation; ask + tell is the strategy's own time for each "
    caption += "architecture evaluated."
    rows = [
        [named(standing.label, series), *(_aim(standing) if aimed else ()), *_spent(standing)]
        for standing in task.ranking
    ]
    return without_empty(Table(name, caption, ["strategy", *header], rows))


def _aim(standing: Standing) -> list[Cell]:
    return [_share(standing.reached), count(standing.evaluations_to_target), _time(standing.seconds_to_target)]


def _spent(standing: Standing) -> list[Cell]:
    return [
        *map(count, (standing.duplicates, standing.infeasible, standing.failed)),
        _time(standing.evaluation_seconds),
        _time(standing.strategy_seconds),
        number(standing.ms_per_ask, None if standing.ms_per_ask is None else f"{standing.ms_per_ask:.2f} ms"),
    ]


def _time(seconds: float | None) -> Cell:
    return number(seconds, None if seconds is None else duration(seconds))


def runs_table(comparison: Comparison, task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return every run's winner."""
    mine = comparison.cells[comparison.cells.task == task.record.name]
    header = ["strategy", "seed", "confirmed", "true value", "test", "best observed", "parameters", "MACs"]
    caption = (
        "Every run's winner. Where the fitness is noisy, the best observed value flatters; the confirmed one counts."
    )
    rows = [_run(run, series, measure_of(task)) for _, run in mine.iterrows()]
    table = Table(name, caption, [*header, "architecture"], rows)
    return without_empty(table if len(rows) <= _SHOWN else replace(table, folded=f"All {len(rows):,} runs"))


def _run(run: pd.Series, series: Series, measure: Measure) -> list[str]:
    values = [measured(float(run[name]), measure) for name in ("confirmed", "true", "test", "observed")]
    told = bool(run["architecture"])
    costs = [number(run[name], grouped(int(run[name]))) if told else MISSING for name in ("params", "macs")]
    found = Architecture.from_dict(json.loads(run["architecture"])) if told else MISSING
    return [named(run["strategy"], series), number(run["seed"], str(run["seed"])), *values, *costs, str(found)]


def fronts_table(task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return how much of the plane each strategy's fronts dominate."""
    first = next(iter(task.fronts.values()))
    (cost, value), what = first.reference, cost_name(first.cost)
    rows = [
        [named(label, series), number(front.hypervolume, f"{front.hypervolume:.3f}"), _ends(front.quartiles)]
        for label, front in sorted(task.fronts.items(), key=lambda item: -item[1].hypervolume)
    ]
    caption = (
        f"Hypervolume of a run's front, median over seeds: the share of the box that it dominates, between "
        f"{amount(cost)} {what} with a value of {value:.5g} and {amount(first.ideal[0])} with {first.ideal[1]:.5g}, "
        "the extremes over all runs."
    )
    return Table(name, caption, ["strategy", "hypervolume", "quartiles"], rows)


def _ends(quartiles: tuple[float, float]) -> Cell:
    return Cell(f"{quartiles[0]:.3f} – {quartiles[1]:.3f}", quartiles[0])
