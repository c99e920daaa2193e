"""Summary of searches, as paragraphs and as terminal tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from nasformer.report.finalist import Finalist
from nasformer.report.interval import split_size
from nasformer.report.notation import MISSING, budget, compact, cost_name, counted, grouped, listed, shortened
from nasformer.report.searches import Searches
from nasformer.search.result import SearchResult
from nasformer.tasks import Metric

_WIDTH = 80


def summary(searches: Searches, finalists: Sequence[Finalist] = (), data: Mapping[str, Any] | None = None) -> list[str]:
    """Return the findings as paragraphs; only measured facts."""
    tested = _tested(finalists, searches.finalist_metric, split_size(data, "test"))
    return [f"{_winner(searches)} {tested}".strip(), _effort(searches)]


def gains_of(finalists: Sequence[Finalist]) -> list[tuple[str, float]]:
    """Return the budgets, and how far the winner of each is above its best rival after training."""
    found = []
    for own in dict.fromkeys(each.budget for each in finalists):
        winner, *rivals = (each.trained for each in finalists if each.budget == own)
        found += [(own, winner - max(rivals))] if rivals else []
    return found


def caveats(searches: Searches) -> list[str]:
    """Return caveats that the tables do not show."""
    found = []
    if len({repr(result.settings.get("fitness")) for result in searches.results}) > 1:
        found.append("The runs record different fitnesses; their values may not be comparable.")
    if any(result.counts.get("replayed") for result in searches.results):
        found.append("Some runs were resumed; their times cover the last session only.")
    return found


def _winner(searches: Searches) -> str:
    group, result, best = searches.winner.group, searches.winner.result, searches.winner.found
    value = searches.written(best.fitness)
    measured = f"a {searches.measure} of {value}"
    within = f"Within a budget of {budget(searches.limits)}" if searches.limits else "Without a budget"
    within = f"Of {counted(len(searches.budgets), 'budget')}" if searches.budgets else within
    return (
        f"{within}, the best confirmed winner came from {group.label} (seed {result.seed}): {measured}, "
        f"with {grouped(best.params)} parameters{_share(searches)}.{_ties(searches)}"
    )


def _ties(searches: Searches) -> str:
    if not searches.tied:
        return ""
    names = listed([group.label for group in searches.tied])
    by = "loss, then parameters" if "loss" in searches.winner.trial.metrics else "parameters"
    return f" Winners of {names} had the same {searches.measure}; ties were broken by {by}."


def _share(searches: Searches) -> str:
    limit = searches.limits.get("params")
    if limit is None or limit.high is None:
        return ""
    return f", {100 * searches.winner.found.params / limit.high:.1f} % of the budget"


def _tested(finalists: Sequence[Finalist], metric: Metric, examples: int | None) -> str:
    if not finalists:
        return "It has not been evaluated on the test split."
    kinds = list(dict.fromkeys(each.kind for each in finalists))
    values = {kind: listed([metric.text(each.trained) for each in finalists if each.kind == kind]) for kind in kinds}
    told = "; ".join(f"{kind}: {text}" for kind, text in values.items())
    budgets = listed(list(dict.fromkeys(each.budget for each in finalists)))
    text = f"Test {metric.title} after one training each, under {budgets}: {told}."
    if metric.proportion and examples:
        text += f" One of the {examples:,} test examples is {100 / examples:.2f} percentage points."
    return text


def _effort(searches: Searches) -> str:
    groups, evaluations = searches.groups, searches.evaluations
    labels = listed([group.label for group in groups])
    if len(searches.results) == 1:
        return f"{labels} evaluated {evaluations:,} architectures in one run."
    many = {len(result.trials) for result in searches.results}
    each = f"{many.pop():,} architectures" if len(many) == 1 else "its architectures"
    seeds = {len(group.results) for group in groups}
    count = counted(seeds.pop(), "seed") if len(seeds) == 1 else "its seeds"
    who = labels if len(groups) == 1 else f"Each of {labels}"
    return f"{who} evaluated {each} with each of {count}, {evaluations:,} evaluations in all."


def summary_lines(results: Sequence[SearchResult], finalists: Sequence[Finalist] = ()) -> list[str]:
    """Return tables of the strategies and of the finalists as plain text, at most 80 columns wide.

    Args:
        results: Of one or more strategies, on the same space and limits.
        finalists: The winner and baselines.

    Raises:
        NasformerError: The results do not belong together.
    """
    searches = Searches.of(results)
    lines = [_row("strategy", ["seeds", "median", "best", "worst", "evals", "dupl.", "infeas."])]
    for group in searches.groups:
        values = [searches.written(value) for value in (median(group.confirmed), max(group.confirmed))]
        values.append(searches.written(min(group.confirmed)))
        counts = [group.evaluations, group.count("duplicates"), group.count("infeasible")]
        lines.append(_row(group.label, [str(len(group.results)), *values, *map(compact, counts)]))
    if finalists:
        metric = searches.finalist_metric
        lines += ["", _row(f"test {metric.title}", [cost_name("params"), "MACs", "inherited", "trained"])]
        for each in finalists:
            cells = [grouped(each.params), compact(each.macs), metric.text(each.inherited), metric.text(each.trained)]
            lines.append(_row(f"{each.budget}: {each.kind}", cells))
    return lines


def _row(label: str, cells: Sequence[str]) -> str:
    columns = " ".join(f"{cell or MISSING:>{8 if len(cells) > 5 else 10}}" for cell in cells)
    space = _WIDTH - len(columns) - 1
    return f"{shortened(label, space):<{space}} {columns}".rstrip()
