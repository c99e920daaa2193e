"""Tables of a comparison: outcome and effort by strategy, pairwise comparisons paired by seed, and ranks over tasks."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from nasformer.architecture import Architecture
from nasformer.compare import Comparison
from nasformer.report.notation import MISSING, duration, fitting, grouped, signed
from nasformer.report.tables.table import Cell, Series, Table, columns, count, folded, in_unit, named, number
from nasformer.report.words import say
from nasformer.tasks import Metric

if TYPE_CHECKING:
    from nasformer.report.statistics import Across, Pair, TaskAnalysis

_SIGNS = {"better": "▲", "worse": "▼", "no difference shown": "○", "identical": "=", "untested": "·"}
_MOODS = {"better": "good", "worse": "bad"}
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


def matrix_table(task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return the verdicts as a matrix, the row's strategy against the column's."""
    labels = [standing.label for standing in task.ranking]
    rows = [[named(row, series), *(_verdict(task, row, column) for column in labels)] for row in labels]
    header = ["", *(named(label, series) for label in labels)]
    return Table(name, say("table_matrix"), header, rows, sortable=False)


def _verdict(task: TaskAnalysis, row: str, column: str) -> Cell:
    pair = None if row == column else task.pair(row, column)
    if pair is None or pair.median_difference is None:
        return Cell("")
    effect = "" if pair.effect_a12 is None else f"A {pair.effect_a12:.2f}"
    chance = "" if pair.p_holm is None else f"p {_probability(pair.p_holm)}"
    text = f"{_SIGNS[pair.verdict]} {signed(pair.median_difference)}"
    return Cell(text, mood=_MOODS.get(pair.verdict, ""), hint=" · ".join(filter(None, (effect, chance))))


def pairs_table(task: TaskAnalysis, series: Series, name: str) -> Table:
    """Return each pair's test in detail."""
    cells = {
        "strategy": lambda pair: named(pair.a, series),
        "against": lambda pair: named(pair.b, series),
        "verdict": lambda pair: Cell(f"{_SIGNS[pair.verdict]} {pair.verdict}", mood=_MOODS.get(pair.verdict, "")),
        "median difference": lambda pair: number(pair.median_difference, signed),
        "95 % interval": _interval,
        "A₁₂": lambda pair: number(pair.effect_a12, "{:.2f}"),
        "p, Holm": lambda pair: _probability(pair.p_holm),
        "p": lambda pair: _probability(pair.p),
        "wins": lambda pair: count(pair.wins),
        "ties": lambda pair: count(pair.ties),
        "losses": lambda pair: count(pair.losses),
        "seeds": lambda pair: count(pair.n),
    }
    caption, pairs = say("table_pairs", metric=task.record.metric), task.pairs
    return columns(name, caption, pairs, cells, folded=folded(len(pairs), "pairs with their tests", 6))


def _interval(pair: Pair) -> Cell:
    ends = pair.interval
    return Cell(MISSING) if ends is None else Cell(f"{signed(ends[0])} to {signed(ends[1])}", ends[0])


def _probability(p: float | None) -> Cell:
    """Return a probability with two digits, or "< 0.0001"."""
    return number(p, lambda p: "< 0.0001" if p < 1e-4 else f"{p:.2g}" if p < 0.0995 else f"{p:.2f}")


def leaderboard_table(
    across: Across, tasks: Sequence[TaskAnalysis], series: Series, name: str = "leaderboard"
) -> Table:
    """Return the strategies by their average rank over the tasks."""
    tasks = [task for task in tasks if name == "leaderboard" or task.record.held_out]

    def total(label: str, outcome: str) -> int:
        return sum(getattr(tally, outcome) for tally in across.tallies[label].values())

    def own(label: str) -> float | None:
        asks = [s.ms_per_ask for task in tasks for s in task.ranking if s.label == label and s.ms_per_ask is not None]
        return median(asks) if asks else None

    cells: dict[str, Any] = {
        "strategy": lambda label: named(label, series),
        "average rank": lambda label: number(across.ranks.get(label), "{:.2f}"),
        "wins": lambda label: count(total(label, "wins")),
        "ties": lambda label: count(total(label, "ties")),
        "losses": lambda label: count(total(label, "losses")),
        "untested": lambda label: count(total(label, "untested") or None),
        "ask + tell": lambda label: number(own(label), "{:.2f} ms"),
    }
    caption = say("table_leaderboard", tasks=len(tasks), held_out=name != "leaderboard")
    return columns(name, caption, across.labels, cells)


def tally_table(across: Across, series: Series) -> Table:
    """Return wins, ties and losses over tasks of each strategy (row) against each other (column)."""
    labels = across.labels
    rows = [[named(a, series), *(_tally(across, a, b) for b in labels)] for a in labels]
    return Table("tally", say("table_tally"), ["", *(named(label, series) for label in labels)], rows, sortable=False)


def _tally(across: Across, a: str, b: str) -> Cell:
    if a == b:
        return Cell("")
    tally = across.tallies[a][b]
    mood = "good" if tally.wins > tally.losses else "bad" if tally.wins < tally.losses else ""
    return Cell(f"{tally.wins}–{tally.ties}–{tally.losses}", mood=mood)
