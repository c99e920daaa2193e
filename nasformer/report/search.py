"""Report of a search: the winner of each budget, what was evaluated, and how it ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from nasformer._provenance import machine
from nasformer.architecture import Architecture
from nasformer.compare import from_results
from nasformer.compare.comparison import VALUE
from nasformer.cost import COSTS, Limits, within
from nasformer.report.interval import MetricInterval, interval
from nasformer.report.notation import amount, cost_name, fitting, listed, short_budget, span
from nasformer.report.page import Subject, Tile, render, write_files
from nasformer.report.tables import record
from nasformer.report.tables.comparison import effort_table
from nasformer.report.tables.table import Cell, JsonObject, Table, columns, in_unit, number
from nasformer.report.words import say
from nasformer.search.evaluation import Trial
from nasformer.search.rerank import BEFORE
from nasformer.search.result import RUNNING, SearchResult
from nasformer.tasks import Metric, Task, task_of

if TYPE_CHECKING:
    from nasformer.report.figures import Picture


def write_report(
    folder: str | Path, result: SearchResult, *, title: str, command: str = "", tested: JsonObject | None = None
) -> Path:
    """Write ``report.html``, ``cells.csv``, and ``figures/NAME.svg`` and ``.png`` into a folder.

    Args:
        folder: Output folder, created if missing.
        result: The search; ``write_comparison`` reports several.
        title: Heading of the page.
        command: The shell command.
        tested: What ``nasformer evaluate`` found on the test split afterwards.

    Returns:
        The path of ``report.html``.

    Raises:
        NasformerError: The search has no confirmed winner, or the folder cannot be written.
    """
    return write_files(folder, *search_page(result, title, command, tested)) / "report.html"


def search_page(
    result: SearchResult, title: str, command: str = "", tested: JsonObject | None = None
) -> tuple[dict[str, str], list[Picture | None]]:
    """Return the page of a search and its runs as texts by file name, and the figures; arguments as ``write_report``.

    Of a search that is running, the best so far are its winners.
    """
    from nasformer.report import figures
    from nasformer.report.statistics import analyse

    comparison = from_results([result], title=title, command=command, machine=machine())
    (task,) = analyse(comparison).tasks
    series, winners = {comparison.labels[0]: 0}, _winners(result, task.record.metric)
    best = min(winners, key=lambda winner: winner.trial.rank)
    scatter = figures.draw_cost_scatter(result, best.scores[-1].metric)
    anytime, seen = figures.draw_anytime(task, series, "anytime"), figures.draw_images_seen(result)
    drawings = _drawings(result, winners)
    subject = Subject.of(comparison)
    html = render(
        "search.html.j2",
        subject,
        record.run_tables(comparison),
        summary=[say("winner", result=result, best=best, tested=_tested(tested)), say("effort", result=result)],
        tiles=_tiles(result, winners),
        warnings=[*([say("caveat_resumed")] if result.counts.get("replayed") else []), *task.warnings],
        scatter=scatter,
        winners=_winners_table(result, winners),
        tested=_tested_table(tested) if tested else None,
        drawings=drawings,
        search_figures=[anytime, seen],
        effort=effort_table(task, series, "effort"),
        task=record.task_table(task.record),
        space=record.space_table(result.space),
        geometry=record.geometry_table(result.space),
    )
    texts = {subject.download.name: subject.download.text, "report.html": html}
    return texts, [scatter, *drawings, anytime, seen]


class Score(NamedTuple):
    """A metric of a winner on the search examples, with its interval if known."""

    title: str
    metric: Metric
    value: float
    ends: MetricInterval | None

    @property
    def text(self) -> str:
        """The value with its unit."""
        return self.metric.text(self.value)


class Winner(NamedTuple):
    """The winner of a budget: its costs, and its scores by the main metric, if measured, and by that which ranked."""

    limits: Limits
    trial: Trial
    costs: Mapping[str, float]
    scores: Sequence[Score]


def _winners(result: SearchResult, metric: Metric) -> list[Winner]:
    """Return the winner of each budget; of one, the one winner."""
    named = replace(metric, title="fitness") if metric == VALUE else metric
    ranked = fitting(named, [trial.value or 0.0 for trial in result.confirmed])
    main = _task(result).metrics[0]
    further = metric not in (VALUE, main) and all(main.name in trial.metrics for trial in result.confirmed)
    noisy = "noisy " if "noise" in (result.settings.get("fitness") or {}) else ""

    def score(trial: Trial, shown: Metric) -> Score:
        own = shown.name == ranked.name
        value = metric.sign * (trial.value or 0.0) if own else trial.metrics[shown.name]
        scores = {shown.name: value, "standard_error": {metric.name: trial.standard_error}}
        title = "fitness" if metric == VALUE else f"{noisy}search {shown.title}"
        return Score(title, shown, value, interval(shown, scores, trial.images))

    found = []
    for limits in result.budgets or (result.limits,):
        inside = [trial for trial in result.confirmed if within(trial.costs, limits)]
        best = min(inside, key=lambda trial: trial.rank)
        scores = [score(best, shown) for shown in ([main, ranked] if further else [ranked])]
        found.append(Winner(limits, best, result.space.costs(best.architecture), scores))
    return found


def _task(result: SearchResult) -> Task:
    """Return the task of the fitness, classification if it names none."""
    return task_of((result.settings.get("fitness") or {}).get("data") or {})


def _tiles(result: SearchResult, winners: Sequence[Winner]) -> list[Tile]:
    """Return a tile for each score and bounded cost of the winner; of several budgets, one for each."""
    if result.budgets:
        return [Tile(short_budget(each.limits), each.scores[0].text, _taken(each)) for each in winners]
    (winner,) = winners
    how = "fine-tuned" if BEFORE in winner.trial.metrics else "so far" if result.stopped == RUNNING else "confirmed"
    tiles = []
    for score in winner.scores:
        remark = how if score.ends is None else f"{how}; 95 % interval {score.ends}"
        tiles.append(Tile(score.title, score.text, remark))
    bounded = {name: span(*ends) for name, ends in winner.limits.items() if name in winner.costs}
    remarks = bounded if "params" in bounded else {**bounded, "params": ""}
    tiles += [Tile(cost_name(name), amount(winner.costs[name]), remark) for name, remark in remarks.items()]
    return [*tiles, Tile("evaluations", f"{len(result.trials):,}", "distinct architectures")]


def _taken(winner: Winner) -> str:
    taken = [f"{amount(winner.costs[name])} {cost_name(name)}" for name in winner.limits if name in winner.costs]
    ends = winner.scores[0].ends
    return "; ".join([*taken, *([] if ends is None else [f"95 % interval {ends}"])])


def _winners_table(result: SearchResult, winners: Sequence[Winner]) -> Table:
    """Return a row for each budget: its winner, with scores and costs."""

    def figure(place: int, winner: Winner) -> Cell:
        score = winner.scores[place]
        return in_unit(score.value, score.metric, score.ends)

    cells: dict[str, Any] = {
        "budget": lambda winner: short_budget(winner.limits) or "none",
        **{score.title: partial(figure, place) for place, score in enumerate(winners[0].scores)},
        **{cost_name(name): partial(_cost, name) for name in result.space.known_costs},
        "architecture": lambda winner: str(winner.trial.architecture),
    }
    return columns("winners", say("table_winners", running=result.stopped == RUNNING), winners, cells)


def _cost(name: str, winner: Winner) -> Cell:
    return number(winner.costs[name], amount)


def _tested(tested: JsonObject | None) -> list[str]:
    """Return the main metric of each tested architecture, in words."""
    if tested is None:
        return []
    metric = task_of(tested["task"]).metrics[0]
    return [f"{row['name']} {metric.text(row[metric.name])}" for row in tested["results"]]


def _tested_table(tested: JsonObject) -> Table:
    """Return the scores of the tested architectures, such as winner and uniform ViT, and their costs."""
    rows, task = tested["results"], task_of(tested["task"])

    def score(metric: Metric, row: JsonObject) -> Cell:
        return in_unit(row[metric.name], metric, interval(metric, row, tested["count"]))

    known = [metric for metric in task.metrics if all(metric.name in row for row in rows)]
    cells: dict[str, Any] = {
        "": lambda row: row["name"],
        **{f"test {metric.title}": partial(score, metric) for metric in known},
        **{cost_name(name): partial(lambda name, row: number(row.get(name), amount), name) for name in COSTS},
    }
    return columns("tested", say("table_scores", examples=tested["count"], noun=task.examples), rows, cells)


def _drawings(result: SearchResult, winners: Sequence[Winner]) -> list[Picture]:
    from nasformer.report.figures import draw_architecture

    drawn: dict[Architecture, list[str]] = {}
    named = "best so far" if result.stopped == RUNNING else "winner"
    for each in winners:
        drawn.setdefault(each.trial.architecture, []).append(short_budget(each.limits) if result.budgets else named)
    return [
        draw_architecture(result.space, architecture, f"architecture-{number}", listed(labels))
        for number, (architecture, labels) in enumerate(drawn.items(), start=1)
    ]
