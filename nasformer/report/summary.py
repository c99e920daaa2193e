"""Summary of searches, as paragraphs and as terminal tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from nasformer.report.accuracy import interval, split_size
from nasformer.report.finalist import Finalist
from nasformer.report.notation import MISSING, budget, compact, cost_name, counted, grouped, listed, percent, shortened
from nasformer.report.searches import Searches
from nasformer.search.result import SearchResult

_WIDTH = 80


def summary(searches: Searches, finalists: Sequence[Finalist] = (), data: Mapping[str, Any] | None = None) -> list[str]:
    """Return the findings as paragraphs; only measured facts."""
    chosen = next((finalist for finalist in finalists if finalist.chosen), None)
    others = [finalist for finalist in finalists if not finalist.chosen and "test_accuracy" in finalist.inherited]
    paragraphs = [f"{_winner(searches)} {_test(chosen)}".strip(), _effort(searches)]
    if chosen and others and "test_accuracy" in chosen.inherited:
        paragraphs.insert(1, _beside(chosen, others[0], split_size(data, "test")))
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
    measured = f"{value} on the search images" if searches.in_percent else f"a fitness of {value}"
    within = f"Within a budget of {budget(searches.limits)}" if searches.limits else "Without a budget"
    return (
        f"{within}, the best confirmed winner came from {group.label} (seed {result.seed}): {measured}, "
        f"with {grouped(best.params)} parameters{_share(searches)}.{_ties(searches)}"
    )


def _ties(searches: Searches) -> str:
    if not searches.tied:
        return ""
    names = listed([group.label for group in searches.tied])
    return f" Winners of {names} had the same {searches.measure}; ties were broken by loss, then parameters."


def _share(searches: Searches) -> str:
    limit = searches.limits.get("params")
    if limit is None or limit.high is None:
        return ""
    return f", {100 * searches.winner.found.params / limit.high:.1f} % of the budget"


def _test(chosen: Finalist | None) -> str:
    if chosen is None or "test_accuracy" not in chosen.inherited:
        return "It has not been evaluated on test images."
    text = (
        f"Its accuracy on the held-out test images is "
        f"{percent(chosen.inherited['test_accuracy'])} with inherited weights"
    )
    if "test_accuracy" in chosen.retrained:
        text += f" and {percent(chosen.retrained['test_accuracy'])} after retraining"
    return f"{text}."


def _beside(chosen: Finalist, other: Finalist, images: int | None) -> str:
    key = "retrained" if "test_accuracy" in chosen.retrained and "test_accuracy" in other.retrained else "inherited"
    how = "Retrained with the same recipe" if key == "retrained" else "With inherited weights"
    mine, theirs = getattr(chosen, key)["test_accuracy"], getattr(other, key)["test_accuracy"]
    text = f"{how}, the winner has a test accuracy of {percent(mine)} and {other.label} {percent(theirs)}"
    if images is None:
        return f"{text}, from one training each."
    overlap = interval(mine, images).overlaps(interval(theirs, images))
    settles = "overlap, so the difference is inconclusive" if overlap else "do not overlap"
    return (
        f"{text}, from one training each. One of the {images:,} test images is {100 / images:.2f} percentage points; "
        f"the two 95 % intervals {settles}."
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
        lines += [_row(finalist.label, _scores(finalist)) for finalist in finalists]
    return lines


def _scores(finalist: Finalist) -> list[str]:
    inherited, retrained = finalist.inherited, finalist.retrained
    accuracies = [inherited.get("search_accuracy"), inherited.get("test_accuracy"), retrained.get("test_accuracy")]
    return [grouped(finalist.params), compact(finalist.macs), *map(percent, accuracies)]


def _row(label: str, cells: Sequence[str]) -> str:
    columns = " ".join(f"{cell or MISSING:>{8 if len(cells) > 5 else 10}}" for cell in cells)
    space = _WIDTH - len(columns) - 1
    return f"{shortened(label, space):<{space}} {columns}".rstrip()
