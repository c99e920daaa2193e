"""Tables of results and effort by strategy on a task."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from nasformer.architecture import Architecture
from nasformer.compare import Comparison
from nasformer.report.notation import MISSING, duration, fitting, grouped, signed
from nasformer.report.tables.table import Cell, Series, Table, columns, count, folded, in_unit, named, number
from nasformer.report.words import say
from nasformer.tasks import Metric

if TYPE_CHECKING:
    from nasformer.report.statistics import TaskAnalysis

_SHOWN = 12


def metric_of(task: TaskAnalysis) -> Metric:
    """Return the metric of a task's values, with digits for their range."""
    return fitting(task.record.metric, (end for each in task.ranking for end in (each.best, each.worst)))


def ranking_table(task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return the ranking of the strategies."""
    metric = metric_of(task)
    bare, unit = replace(metric, unit=""), f", {metric.unit}" if metric.unit else ""

    def value(fitness: float | None) -> Cell:
        return in_unit(None if fitness is None else metric.sign * fitness, bare)

    table = columns(
        name,
        "",
        task.ranking,
        {
            "strategy": lambda s: named(s.label, series),
            "seeds": lambda s: count(s.n),
            f"median{unit}": lambda s: value(s.median),
            f"quartiles{unit}": lambda s: _span([metric.sign * q for q in s.quartiles], bare.text, shown=s.n > 1),
            "best": lambda s: value(s.best),
            "worst": lambda s: value(s.worst),
            "median regret": lambda s: number(s.median_regret, _three),
            "mean regret": lambda s: number(s.mean_regret, _three),
            "optimum found": lambda s: number(s.optimum_found, _share),
            "mean over run": lambda s: value(s.auc),
            "observed − true": lambda s: number(s.observed_bias, signed),
            "search − test": lambda s: number(s.curse, signed),
        },
    )
    return replace(table, caption=say("table_ranking", metric=metric, header=table.header))


def _span(ends: Sequence[float], text: Any, shown: bool = True) -> Cell:
    low, high = sorted(ends)
    return Cell(f"{text(low)} – {text(high)}", low) if shown else Cell(MISSING)


def _three(value: float) -> str:
    return "0" if value == 0 else f"{value:#.3g}".rstrip(".")


def _share(share: float) -> str:
    return f"{100 * share:.0f} %"


def effort_table(task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return evaluations and time to target, if there is a target, and the effort of each strategy."""
    runs, metric = sum(standing.n for standing in task.ranking), metric_of(task)
    aimed = math.isfinite(task.target) and (task.record.target is not None or runs > 1)
    aim = {
        "reached": lambda s: number(s.reached, _share),
        "evaluations to target": lambda s: count(s.evaluations_to_target),
        "time to target": lambda s: number(s.seconds_to_target, duration),
    }
    spent = {
        "duplicates": lambda s: count(s.duplicates),
        "infeasible": lambda s: count(s.infeasible),
        "replaced": lambda s: count(s.replaced),
        "failed": lambda s: count(s.failed),
        "evaluation time": lambda s: number(s.evaluation_seconds, duration),
        "strategy time": lambda s: number(s.strategy_seconds, duration),
        "ask + tell": lambda s: number(s.ms_per_ask, "{:.2f} ms"),
    }
    cells = {"strategy": lambda s: named(s.label, series), **(aim if aimed else {}), **spent}
    return columns(name, say("table_effort", task=task, metric=metric, aimed=aimed), task.ranking, cells)


def runs_table(comparison: Comparison, task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return every run's winner."""
    runs = [run for _, run in comparison.cells[comparison.cells.task == task.record.name].iterrows()]
    metric = metric_of(task)

    def value(column: str, run: Any) -> Cell:
        return in_unit(metric.sign * float(run[column]), metric)

    def cost(column: str, run: Any) -> Cell:
        return number(run[column] if run["architecture"] else None, lambda cost: grouped(int(cost)))

    cells: dict[str, Any] = {
        "strategy": lambda run: named(run["strategy"], series),
        "seed": lambda run: number(run["seed"], "{}"),
        "confirmed": partial(value, "confirmed"),
        "true value": partial(value, "true"),
        "test": partial(value, "test"),
        "best observed": partial(value, "observed"),
        "parameters": partial(cost, "params"),
        "MACs": partial(cost, "macs"),
        "architecture": lambda run: str(
            Architecture.from_dict(json.loads(run["architecture"])) if run["architecture"] else MISSING
        ),
    }
    caption = say("table_runs", metric=task.record.metric)
    return columns(name, caption, runs, cells, folded=folded(len(runs), "runs", _SHOWN))


def fronts_table(task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return the hypervolume of each strategy's fronts."""
    ordered = sorted(task.fronts.items(), key=lambda item: -item[1].hypervolume)
    cells = {
        "strategy": lambda item: named(item[0], series),
        "hypervolume": lambda item: number(item[1].hypervolume, "{:.3f}"),
        "quartiles": lambda item: _span(item[1].quartiles, "{:.3f}".format),
    }
    return columns(name, say("table_fronts", front=ordered[0][1], metric=task.record.metric), ordered, cells)
