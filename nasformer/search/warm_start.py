"""Warm start: what earlier searches found, told to a strategy before its first ask."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable
from pathlib import Path

from nasformer.architecture import Architecture
from nasformer.errors import StudyError
from nasformer.search.evaluate import as_trial
from nasformer.search.evaluation import Evaluation, Fitness, Trial
from nasformer.search.result import SearchResult
from nasformer.search.study import Study
from nasformer.search.trial_store import TrialStore
from nasformer.space import FeasibleSet

_LOGGER = logging.getLogger(__name__)


WarmStart = SearchResult | TrialStore | Fitness | str | Path
"""A result or its file, a study or its storage (with one study), a table or its file."""


def warm_trials(
    source: SearchResult | TrialStore | Fitness, feasible: FeasibleSet, probes: Container[Architecture] = ()
) -> tuple[Trial, ...]:
    """Return the valued members of a feasible set, and probes, as trials with negative numbers, so before all others.

    Raises:
        StudyError: There are none.
    """
    known = dict[Architecture, Evaluation]()
    for each in _evaluations(source):
        if each.value is not None and (each.architecture in feasible or each.architecture in probes):
            known.setdefault(each.architecture, each)
    if not known:
        raise StudyError(f"the warm start has no architecture with a value within {feasible.describe()}", source)
    _LOGGER.info("warm start with %d architectures", len(known))
    return tuple(as_trial(each, number, -1, feasible) for number, each in enumerate(known.values(), -len(known)))


def opened(source: str | Path) -> SearchResult | Study | str:
    """Return the result or study of a path or URL; else the path, that of a table."""
    text = str(source)
    if "://" in text or text.endswith(".log"):
        return Study.load(text)
    try:
        return SearchResult.load(text) if text.endswith(".jsonl") else text
    except StudyError:
        return text


def _evaluations(source: SearchResult | TrialStore | Fitness) -> Iterable[Evaluation]:
    if not isinstance(source, (SearchResult, TrialStore)):
        return source.evaluate(getattr(source, "architectures", ()))
    trials = source.trials() if isinstance(source, TrialStore) else source.trials
    return [Evaluation(t.architecture, t.value, t.error, t.seconds, t.metrics) for t in trials]
