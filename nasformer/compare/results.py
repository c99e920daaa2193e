"""Builds a comparison from existing search results of one task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nasformer._console import printable
from nasformer.compare.comparison import (
    VALUE,
    Comparison,
    Entrant,
    Judge,
    TaskRecord,
    cell_row,
    cell_table,
    trial_columns,
    trial_table,
)
from nasformer.cost import format_limits
from nasformer.errors import NasformerError
from nasformer.registry import measured_metric
from nasformer.search import SearchResult
from nasformer.tasks import Metric, get_task


def from_results(
    results: Sequence[SearchResult],
    *,
    title: str = "",
    truth: Judge | None = None,
    test: Judge | None = None,
    optimum: float | None = None,
    command: str = "",
    machine: Mapping[str, str] | None = None,
) -> Comparison:
    """Return finished searches of one task as a comparison; variants of a strategy are separate entrants.

    Args:
        results: Results of one or more strategies and seeds, on the same space and limits.
        title: Heading of the report.
        truth: Value of an architecture without noise.
        test: Value of an architecture on the test split.
        optimum: The highest true value within the limits.
        command: The shell command.
        machine: Description of the machine.

    Raises:
        NasformerError: No results, one without confirmed winner, different spaces or limits, or a duplicate run.
    """
    _check_together(results)
    first, labels = results[0], _labels(results)
    record = TaskRecord(
        name=printable(first.space.name),  # Arrow's texts are UTF-8
        space=first.space,
        limits=first.limits,
        fitness=first.settings.get("fitness") or {},
        evaluations=max(len(result.trials) for result in results),
        optimum=optimum,
        metric=metric_of(results) or VALUE,
        feasible=first.feasible,
    )
    runs = list(zip(labels, results, strict=True))
    entrants = {label: Entrant(label, run.strategy, run.settings.get("options") or {}) for label, run in runs}
    cells = [cell_row(run, record.name, label, truth=truth, test=test, optimum=optimum) for label, run in runs]
    return Comparison(
        title=title,
        tasks=(record,),
        entrants=tuple(entrants.values()),
        seeds=tuple(sorted({result.seed for result in results})),
        trials=trial_table([trial_columns(run, record.name, label, truth) for label, run in runs]),
        cells=cell_table(cells),
        command=command,
        settings=_shared_settings(results),
        versions=_together([result.versions for result in results]),
        machine=dict(machine or {}),
    )


def _check_together(results: Sequence[SearchResult]) -> None:
    """Raise NasformerError for results that cannot be compared."""
    if not results:
        raise NasformerError("a report needs at least one search result, got none", results)
    first, *_ = results
    for result in results:
        run = f"{result.strategy} with seed {result.seed}"
        if differences := result.space.differences(first.space):
            words = f"{run} searched another space: {'; '.join(differences)}"
            raise NasformerError(f"{words}; report it separately", result)
        searched = [each.budgets or (each.limits,) for each in (result, first)]
        if searched[0] != searched[1]:
            mine, other = (", ".join(format_limits(each) or "no limits" for each in own) for own in searched)
            raise NasformerError(f"{run} searched within {mine}, others within {other}; report it separately", result)
        if not any(trial.value is not None for trial in result.confirmed):
            raise NasformerError(f"{run} has no confirmed winner; omit it", result)
    runs = Counter(zip(_labels(results), (result.seed for result in results), strict=True))
    (label, seed), times = runs.most_common(1)[0]
    if times > 1:
        raise NasformerError(f"{label} with seed {seed} occurs {times} times; give each run once", results)


def _labels(results: Sequence[SearchResult]) -> list[str]:
    """Return a label for each result: the strategy's name, with options if needed to distinguish variants."""
    runs = {(each.strategy, _options_text(each)) for each in results}
    variants = Counter(strategy for strategy, _ in runs)
    return [each.strategy + (f" ({_options_text(each)})" if variants[each.strategy] > 1 else "") for each in results]


def _options_text(result: SearchResult) -> str:
    options = result.settings.get("options") or {}
    return ", ".join(f"{key}={value}" for key, value in sorted(options.items())) or "defaults"


def metric_of(results: Sequence[SearchResult]) -> Metric | None:
    """Return the metric that the values are, up to its sign; None: unknown, or not the same."""
    trials = [trial for result in results for trial in result.trials if trial.value is not None]
    if all(trial.metrics.get("accuracy") == trial.value for trial in trials):
        accuracy: Metric = get_task("classification").metrics[0]
        return accuracy
    first, *others = [measured_metric(result.settings.get("fitness")) for result in results]
    return first if all(other == first for other in others) else None


def _shared_settings(results: Sequence[SearchResult]) -> dict[str, Any]:
    """Return the settings of the searches; all values where runs differ."""
    known = ("strategy", "options", "space", "fitness", "seed")
    own = [{key: value for key, value in result.settings.items() if key not in known} for result in results]
    for settings, result in zip(own, results, strict=True):
        settings |= {f"{name} {key}": value for name, found in result.findings.items() for key, value in found.items()}
    return _together(own)


def _together(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    told: dict[str, list[Any]] = {}
    for record in records:
        for key, value in record.items():
            if value not in told.setdefault(key, []):
                told[key].append(value)
    return {key: values[0] if len(values) == 1 else values for key, values in told.items()}
