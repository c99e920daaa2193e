"""Re-ranking of a search's best architectures by a stronger judge, such as a short fine-tuning of each.

Rankings by inherited weights can flip once networks are trained, so the best few are judged again before the winner is
named. How is the caller's affair: whatever has ``top``, ``confirm`` and ``describe``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from nasformer._io import digest
from nasformer.architecture import Architecture
from nasformer.cost import Limits, within
from nasformer.errors import FitnessError
from nasformer.search.confirm import Confirming
from nasformer.search.evaluate import as_trial, evaluate_each
from nasformer.search.evaluation import Evaluation, Trial
from nasformer.search.trial_store import TrialStore
from nasformer.space import FeasibleSet

BEFORE = "before"
"""Metric of a re-ranked trial: its value by the fitness of the search."""

_LOGGER = logging.getLogger(__name__)


class Reranker(Protocol):
    """Judges the best few architectures of a search; ``fitness.Finetuning`` is one."""

    top: int

    def confirm(self, architectures: Sequence[Architecture]) -> Iterable[Evaluation]:
        """Yield one evaluation per architecture, as soon as it is known."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return plain data on which the evaluations depend, beside the architecture."""
        ...

    def keep(self, winner: Architecture) -> None:
        """Keep what was made for the winner, unless it is kept, and discard the rest."""
        ...


def reranked(
    reranker: Reranker,
    confirmed: Sequence[Trial],
    feasible: FeasibleSet,
    record: TrialStore,
    tell: Callable[[int, int], None],
    budgets: Sequence[Limits] = (),
) -> tuple[Trial, ...]:
    """Return the best of confirmed trials with the values of a re-ranker, best first.

    Each is stored as soon as it is known; those stored are not judged again. Failures are omitted.

    Args:
        reranker: The judge.
        confirmed: Fully evaluated trials, best first.
        feasible: The feasible set.
        record: Store of the search.
        tell: Called with the number of each candidate from 1, before it is judged, and their total.
        budgets: Limits of each of several budgets, whose best few are judged.

    Raises:
        FitnessError: None has a value.
    """
    best = [[each for each in confirmed if within(each.costs, own)][: reranker.top] for own in budgets or ({},)]
    chosen = {trial.architecture for trials in best for trial in trials}
    candidates, key = [each for each in confirmed if each.architecture in chosen], reranker_key(reranker)
    known = {trial.architecture: trial for trial in record.reranked(key)}
    reason = "nothing was recommended"
    for number, trial in enumerate(candidates, 1):
        if trial.architecture in known:
            continue
        tell(number, len(candidates))
        (evaluation,) = evaluate_each(Confirming(reranker), [trial.architecture])
        if evaluation.value is None:
            reason = f"{trial.architecture}: {evaluation.error}"
            _LOGGER.warning("left out of the re-ranking: %s", reason)
            continue
        known[trial.architecture] = as_trial(evaluation, trial.number, trial.batch, feasible)
        record.add_reranked(key, known[trial.architecture])
    judged = [_with_former(known[each.architecture], each) for each in candidates if each.architecture in known]
    if not judged:
        raise FitnessError(f"none of {len(candidates)} re-ranked architectures has a value: {reason}", reranker)
    return tuple(sorted(judged, key=lambda trial: trial.rank))


def reranker_key(reranker: Reranker) -> str:
    """Return what identifies the evaluations of a re-ranker."""
    return digest(reranker.describe())


def _with_former(trial: Trial, former: Trial) -> Trial:
    assert former.value is not None
    return Trial.from_dict({**trial.to_dict(), "metrics": {**trial.metrics, BEFORE: former.value}})


def reranking(confirmed: Sequence[Trial]) -> dict[str, Any] | None:
    """Return how a re-ranker changed the ranking, as plain values; None: there was none.

    ``tau`` is Kendall's rank correlation (tau-b) of the values before and after; None: undefined.
    """
    if not confirmed or any(BEFORE not in trial.metrics or trial.value is None for trial in confirmed):
        return None
    from scipy.stats import kendalltau

    before, after = [trial.metrics[BEFORE] for trial in confirmed], [trial.value or 0.0 for trial in confirmed]
    rows: list[dict[str, Any]] = [
        {
            "architecture": trial.architecture.to_dict(),
            "before": old,
            "after": new,
            "rank_before": 1 + sum(other > old for other in before),
            "rank_after": place,
        }
        for place, (trial, old, new) in enumerate(zip(confirmed, before, after, strict=True), 1)
    ]
    tau = float(kendalltau(before, after).statistic) if len(rows) > 1 else float("nan")
    return {"flipped": rows[0]["rank_before"] > 1, "tau": None if tau != tau else tau, "candidates": rows}
