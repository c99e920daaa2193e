"""Tables of results and effort by strategy on a task."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from nasformer.architecture import Architecture
from nasformer.compare import Comparison
from nasformer.report.notation import MISSING, amount, cost_name, duration, fitting, grouped, sentence, signed, worth
from nasformer.report.tables.table import Cell, Table, count, in_unit, number, without_empty
from nasformer.tasks import Metric

if TYPE_CHECKING:
    import pandas as pd

    from nasformer.report.statistics import Standing, TaskAnalysis

_SHOWN = 12
_SAID = {
    "mean over run": "Mean over run: the incumbent's {0.title} averaged over all evaluations; better if good "
    "architectures are found early.",
    "observed − true": "Observed − true: selection bias of the best observed value under noise, median over seeds.",
    "search − test": "Search − test: the winner's {0.fitness.title} on the search split minus that on the test "
    "split, median over seeds.",
}
Series = Mapping[str, int]
"""Number of each strategy, by label."""


def named(label: str, series: Series) -> Cell:
    """Return a strategy's name as a cell, highlighted with it."""
    return Cell(label, series=series[label])


def metric_of(task: TaskAnalysis) -> Metric:
    """Return the metric of a task's values, with digits for their range."""
    return fitting(task.record.metric, (end for each in task.ranking for end in (each.best, each.worst)))


def difference(value: float | None) -> Cell:
    """Return a difference as a cell."""
    return number(value, None if value is None else signed(value))


def ranking_table(task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return the ranking of the strategies."""
    metric = metric_of(task)
    unit = f", {metric.unit}" if metric.unit else ""
    header = ["strategy", "seeds", f"median{unit}", f"quartiles{unit}", "best", "worst", "median regret", "mean regret"]
    header += ["optimum found", "mean over run", "observed − true", "search − test"]
    rows = [_standing(standing, series, replace(metric, unit="")) for standing in task.ranking]
    table = without_empty(Table(name, "", header, rows))
    said = [f"{sentence(metric.title)} of the confirmed winners over seeds, best median first."]
    said += [text.format(metric) for column, text in _SAID.items() if column in table.header]
    return replace(table, caption=" ".join(said))


def _standing(standing: Standing, series: Series, metric: Metric) -> list[str]:
    low, high = sorted(metric.sign * end for end in standing.quartiles)
    ends = Cell(f"{metric.text(low)} – {metric.text(high)}", low) if standing.n > 1 else Cell(MISSING)
    median, best, worst, mean = (
        in_unit(None if value is None else metric.sign * value, metric)
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
    """Return evaluations and time to target, if there is a target, and the effort of each strategy."""
    runs = sum(standing.n for standing in task.ranking)
    aimed = math.isfinite(task.target) and (task.record.target is not None or runs > 1)
    header = ["duplicates", "infeasible", "failed", "evaluation time", "strategy time", "ask + tell"]
    caption = "Effort of each strategy, median over seeds. "
    if aimed:
        header = ["reached", "evaluations to target", "time to target", *header]
        caption = (
            f"Evaluations and time to the target {task.record.metric.title} of {worth(metric_of(task), task.target)} "
            f"({task.target_rule}), and effort. All but the share of seeds that reach it are medians over "
            "seeds; a seed that never reaches it counts as infinite. "
        )
    caption += "Duplicate and infeasible proposals cost no evaluation; ask + tell is the strategy's time per evaluated "
    caption += "architecture."
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
        f"{sentence(task.record.metric.title)} of every run's winner. With a noisy fitness the best observed value is "
        "too good; the confirmed one counts."
    )
    rows = [_run(run, series, metric_of(task)) for _, run in mine.iterrows()]
    table = Table(name, caption, [*header, "architecture"], rows)
    return without_empty(table if len(rows) <= _SHOWN else replace(table, folded=f"All {len(rows):,} runs"))


def _run(run: pd.Series, series: Series, metric: Metric) -> list[str]:
    values = [in_unit(metric.sign * float(run[name]), metric) for name in ("confirmed", "true", "test", "observed")]
    told = bool(run["architecture"])
    costs = [number(run[name], grouped(int(run[name]))) if told else MISSING for name in ("params", "macs")]
    found = Architecture.from_dict(json.loads(run["architecture"])) if told else MISSING
    return [named(run["strategy"], series), number(run["seed"], str(run["seed"])), *values, *costs, str(found)]


def fronts_table(task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return the hypervolume of each strategy's fronts."""
    first = next(iter(task.fronts.values()))
    (cost, value), what = first.reference, cost_name(first.cost)
    rows = [
        [named(label, series), number(front.hypervolume, f"{front.hypervolume:.3f}"), _ends(front.quartiles)]
        for label, front in sorted(task.fronts.items(), key=lambda item: -item[1].hypervolume)
    ]
    caption = (
        f"Hypervolume of a run's front, median over seeds, normalised to the box between the reference "
        f"({amount(cost)} {what}, {task.record.metric.fitness.title} {value:.5g}) and the ideal "
        f"({amount(first.ideal[0])}, {first.ideal[1]:.5g}), the extremes over all runs."
    )
    return Table(name, caption, ["strategy", "hypervolume", "quartiles"], rows)


def _ends(quartiles: tuple[float, float]) -> Cell:
    return Cell(f"{quartiles[0]:.3f} – {quartiles[1]:.3f}", quartiles[0])
