"""Report of a search: the winner of each budget, what was evaluated, and how it ran."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer._io import without_formulas
from nasformer._provenance import machine
from nasformer.architecture import Architecture
from nasformer.compare import from_results
from nasformer.compare.comparison import VALUE
from nasformer.cost import COSTS, Limits, within
from nasformer.report.interval import MetricInterval, interval
from nasformer.report.notation import amount, cost_name, fitting, listed, short_budget, span
from nasformer.report.page import Subject, Tile, render, write_files
from nasformer.report.tables import record
from nasformer.report.tables.outcome import effort_table
from nasformer.report.tables.table import Cell, JsonObject, Table, columns, in_unit, number
from nasformer.report.words import say
from nasformer.search.evaluation import Trial
from nasformer.search.rerank import BEFORE
from nasformer.search.result import SearchResult
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
    from nasformer.report import figures
    from nasformer.report.statistics import analyse

    comparison = from_results([result], title=title, command=command, machine=machine())
    (task,) = analyse(comparison).tasks
    series, found = {comparison.labels[0]: 0}, Found(result, task.record.metric)
    scatter, seen = figures.draw_cost_scatter(result, found.ranked), figures.draw_images_seen(result)
    anytime, drawings = figures.draw_anytime(task, series, "anytime"), _drawings(found)
    html = render(
        "search.html.j2",
        Subject.of(comparison),
        record.run_tables(comparison),
        summary=[say("winner", found=found, tested=_tested(found, tested)), say("effort", result=result)],
        tiles=_tiles(found),
        warnings=[*([say("caveat_resumed")] if result.counts.get("replayed") else []), *task.warnings],
        scatter=scatter,
        winners=_winners_table(found),
        tested=_tested_table(found, tested) if tested else None,
        drawings=drawings,
        search_figures=[anytime, seen],
        effort=effort_table(task, series, "effort"),
        task=record.task_table(task.record),
        space=record.space_table(result.space),
        geometry=record.geometry_table(result.space),
    )
    texts = {"cells.csv": without_formulas(comparison.cells).to_csv(index=False), "report.html": html}
    return write_files(folder, texts, [scatter, *drawings, anytime, seen]) / "report.html"


@dataclass(frozen=True, slots=True)
class Found:
    """The winners of a search, and what is told of them.

    Args:
        result: The search.
        metric: What its values are, up to their sign.
    """

    result: SearchResult
    metric: Metric

    @property
    def ranked(self) -> Metric:
        """The metric that ranked, with digits for the range of its values."""
        named = replace(VALUE, title="fitness") if self.metric == VALUE else self.metric
        return fitting(named, [trial.value or 0.0 for trial in self.result.confirmed])

    @property
    def metrics(self) -> list[Metric]:
        """The main metric of the task, if it was measured too, and the one that ranked."""
        if self.metric == VALUE:
            return [self.ranked]
        main = self.task.metrics[0]
        further = main != self.metric and all(main.name in trial.metrics for trial in self.result.confirmed)
        return [main, self.ranked] if further else [self.ranked]

    @property
    def task(self) -> Task:
        """The task of the fitness, classification if it names none."""
        return task_of((self.result.settings.get("fitness") or {}).get("data") or {})

    @property
    def winners(self) -> list[tuple[Limits, Trial]]:
        """Each budget with its winner."""
        own = self.result.budgets or (self.result.limits,)
        inside = ([each for each in self.result.confirmed if within(each.costs, limits)] for limits in own)
        return [(limits, min(trials, key=lambda trial: trial.rank)) for limits, trials in zip(own, inside, strict=True)]

    @property
    def best(self) -> Trial:
        """The winner of all budgets."""
        return min((trial for _, trial in self.winners), key=lambda trial: trial.rank)

    def title(self, metric: Metric) -> str:
        """Return the display name of a metric."""
        noisy = "noisy " if "noise" in (self.result.settings.get("fitness") or {}) else ""
        return metric.title if self.metric == VALUE else f"{noisy}search {metric.title}"

    def value(self, trial: Trial, metric: Metric) -> float:
        """Return a metric of a winner."""
        return metric.sign * (trial.value or 0.0) if metric.name == self.metric.name else trial.metrics[metric.name]

    def ends(self, trial: Trial, metric: Metric) -> MetricInterval | None:
        """Return the interval of a metric of a winner over the search examples; None: unknown."""
        scores = {metric.name: self.value(trial, metric), "standard_error": {self.metric.name: trial.standard_error}}
        return interval(metric, scores, trial.images)


def _tiles(found: Found) -> list[Tile]:
    """Return a tile for each metric and bounded cost of the winner; of several budgets, one for each."""
    main, best = found.metrics[0], found.best
    if found.result.budgets:
        return [
            Tile(short_budget(limits), main.text(found.value(trial, main)), _taken(found, limits, trial))
            for limits, trial in found.winners
        ]
    how = "fine-tuned" if BEFORE in best.metrics else "confirmed"
    tiles = []
    for metric in found.metrics:
        ends = found.ends(best, metric)
        remark = how if ends is None else f"{how}; 95 % interval {ends}"
        tiles.append(Tile(found.title(metric), metric.text(found.value(best, metric)), remark))
    costs = found.result.space.costs(best.architecture)
    limits = {name: ends for name, ends in found.result.limits.items() if name in costs}
    tiles += [Tile(cost_name(name), amount(costs[name]), span(*ends)) for name, ends in limits.items()]
    tiles += [] if "params" in limits else [Tile("parameters", amount(costs["params"]))]
    return [*tiles, Tile("evaluations", f"{len(found.result.trials):,}", "distinct architectures")]


def _taken(found: Found, limits: Limits, trial: Trial) -> str:
    costs, ends = found.result.space.costs(trial.architecture), found.ends(trial, found.metrics[0])
    taken = [f"{amount(costs[name])} {cost_name(name)}" for name in limits if name in costs]
    return "; ".join([*taken, *([] if ends is None else [f"95 % interval {ends}"])])


def _winners_table(found: Found) -> Table:
    """Return a row for each budget: its winner, with costs and values."""
    space = found.result.space

    def figure(metric: Metric, item: tuple[Limits, Trial]) -> Cell:
        return in_unit(found.value(item[1], metric), metric, found.ends(item[1], metric))

    def cost(name: str, item: tuple[Limits, Trial]) -> Cell:
        return number(space.costs(item[1].architecture)[name], amount)

    cells: dict[str, Any] = {
        "budget": lambda item: short_budget(item[0]) or "none",
        **{found.title(metric): partial(figure, metric) for metric in found.metrics},
        **{cost_name(name): partial(cost, name) for name in space.known_costs},
        "architecture": lambda item: str(item[1].architecture),
    }
    return columns("winners", say("table_winners"), found.winners, cells)


def _tested(found: Found, tested: JsonObject | None) -> list[str]:
    """Return the main metric of each tested architecture, in words."""
    metric, rows = found.task.metrics[0], (tested or {"results": ()})["results"]
    return [f"{row['name']} {metric.text(row[metric.name])}" for row in rows if metric.name in row]


def _tested_table(found: Found, tested: JsonObject) -> Table:
    rows, task = tested["results"], found.task

    def score(metric: Metric, row: JsonObject) -> Cell:
        return in_unit(row[metric.name], metric, interval(metric, row, tested[task.examples]))

    known = [metric for metric in task.metrics if all(metric.name in row for row in rows)]
    cells: dict[str, Any] = {
        "": lambda row: row["name"],
        **{f"test {metric.title}": partial(score, metric) for metric in known},
        **{cost_name(name): partial(lambda name, row: number(row.get(name), amount), name) for name in COSTS},
    }
    return columns("tested", say("table_scores", examples=tested[task.examples], noun=task.examples), rows, cells)


def _drawings(found: Found) -> list[Picture]:
    from nasformer.report.figures import draw_architecture

    drawn: dict[Architecture, list[str]] = {}
    for limits, trial in found.winners:
        drawn.setdefault(trial.architecture, []).append(short_budget(limits) if found.result.budgets else "winner")
    return [
        draw_architecture(found.result.space, architecture, f"architecture-{number}", listed(labels))
        for number, (architecture, labels) in enumerate(drawn.items(), start=1)
    ]
