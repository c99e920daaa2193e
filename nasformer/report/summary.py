"""Summary of searches, as paragraphs and as terminal tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from nasformer.report.finalist import Finalist
from nasformer.report.interval import interval, split_size
from nasformer.report.notation import MISSING, budget, compact, cost_name, counted, grouped, listed, shortened
from nasformer.report.searches import Searches
from nasformer.search.result import SearchResult
from nasformer.tasks import Metric

_WIDTH = 80


def summary(searches: Searches, finalists: Sequence[Finalist] = (), data: Mapping[str, Any] | None = None) -> list[str]:
    """Return the findings as paragraphs; only measured facts."""
    chosen = next((finalist for finalist in finalists if finalist.chosen), None)
    others = [finalist for finalist in finalists if not finalist.chosen and "test" in finalist.inherited]
    paragraphs = [f"{_winner(searches)} {_test(searches.finalist_metric, chosen)}".strip(), _effort(searches)]
    if chosen and others and "test" in chosen.inherited:
        paragraphs.insert(1, _beside(searches.finalist_metric, chosen, others[0], split_size(data, "test")))
    return [paragraph.strip() for paragraph in paragraphs]


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


def _test(metric: Metric, chosen: Finalist | None) -> str:
    if chosen is None or "test" not in chosen.inherited:
        return "It has not been evaluated on the test split."
    value = metric.text(chosen.inherited["test"])
    text = f"Its {metric.title} on the held-out test split is {value} with inherited weights"
    if "test" in chosen.retrained:
        text += f" and {metric.text(chosen.retrained['test'])} after retraining"
    return f"{text}."


def _beside(metric: Metric, chosen: Finalist, other: Finalist, examples: int | None) -> str:
    key = "retrained" if "test" in chosen.retrained and "test" in other.retrained else "inherited"
    how = "Retrained with the same recipe" if key == "retrained" else "With inherited weights"
    mine, theirs = getattr(chosen, key)["test"], getattr(other, key)["test"]
    text = f"{how}, the winner has a test {metric.title} of {metric.text(mine)} and {other.label} {metric.text(theirs)}"
    text += ", from one training each."
    first, second = (interval(metric, {metric.name: value}, examples) for value in (mine, theirs))
    if first is None or second is None:
        return text
    settles = "overlap, so the difference is inconclusive" if first.overlaps(second) else "do not overlap"
    return (
        f"{text} One of the {examples:,} test examples is {100 / (examples or 1):.2f} percentage points; the two 95 % "
        f"intervals {settles}."
    )


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
        lines += ["", _row("", [cost_name("params"), "MACs", "search", "test", "retrained"])]
        lines += [_row(finalist.label, _scores(searches.finalist_metric, finalist)) for finalist in finalists]
    return lines


def _scores(metric: Metric, finalist: Finalist) -> list[str]:
    inherited, retrained = finalist.inherited, finalist.retrained
    values = [inherited.get("search"), inherited.get("test"), retrained.get("test")]
    told = [MISSING if value is None else metric.text(value) for value in values]
    return [grouped(finalist.params), compact(finalist.macs), *told]


def _row(label: str, cells: Sequence[str]) -> str:
    columns = " ".join(f"{cell or MISSING:>{8 if len(cells) > 5 else 10}}" for cell in cells)
    space = _WIDTH - len(columns) - 1
    return f"{shortened(label, space):<{space}} {columns}".rstrip()
