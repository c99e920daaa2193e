"""Paired test of two networks on the same examples."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nasformer.tasks import Task


def paired_test(task: Task, before: Tensor, after: Tensor, targets: Tensor) -> dict[str, Any] | None:
    """Return the paired test of two networks by the first metric that is a mean over examples, as plain values.

    Of a proportion it is McNemar's exact test on the examples that one network alone gets right (Psychometrika,
    1947), with the counts ``both``, ``only_before``, ``only_after`` and ``neither``; of other metrics Wilcoxon's
    signed-rank test, with ``better``, ``worse`` and ``equal``. None: the examples are not independent.

    Args:
        task: The task of both networks.
        before: Outputs of the first, ``(examples, outputs)``.
        after: Outputs of the second.
        targets: The targets.
    """
    from scipy.stats import binomtest, wilcoxon

    if not task.independent:
        return None
    scores = [task.scores(outputs, targets) for outputs in (before, after)]
    metric = next(each for each in task.metrics if each.name in scores[0] and each.name in task.objectives)
    first, second = (each[metric.name].double().numpy() for each in scores)
    gains = metric.sign * (second - first)
    better, worse = int((gains > 0).sum()), int((gains < 0).sum())
    if metric.proportion:
        both = int((first * second).sum())
        p = binomtest(better, better + worse).pvalue if better + worse else 1.0
        neither = len(gains) - both - better - worse
        counts = {"both": both, "only_before": worse, "only_after": better, "neither": neither}
        return {"metric": metric.name, "test": "McNemar", **counts, "p": float(p)}
    p = wilcoxon(gains).pvalue if better + worse else 1.0
    counts = {"better": better, "worse": worse, "equal": len(gains) - better - worse}
    return {"metric": metric.name, "test": "Wilcoxon", **counts, "p": float(p)}
