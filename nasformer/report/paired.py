"""Paired test of two networks in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasformer.report.notation import p_value
from nasformer.tasks import Task

_LEVEL = 0.05


def paired_verdict(task: Task, paired: Mapping[str, Any]) -> str:
    """Return the counts, the p-value and the verdict of ``training.paired_test``.

    >>> from nasformer.tasks import get_task
    >>> counts = {"both": 300, "only_before": 8, "only_after": 29, "neither": 23}
    >>> paired_verdict(get_task("classification")(), {"metric": "accuracy", "test": "McNemar", **counts, "p": 0.00076})
    "29 images are right only after, 8 only before (McNemar's exact test, p = 0.00076): the difference is significant."
    """
    if paired["test"] == "McNemar":
        after, before = paired["only_after"], paired["only_before"]
        told, test = f"{after:,} {task.examples} are right only after, {before:,} only before", "McNemar's exact test"
    else:
        title, better, worse = task.metric(paired["metric"]).title, paired["better"], paired["worse"]
        told, test = (
            f"{title} is better on {better:,} {task.examples}, worse on {worse:,}",
            "Wilcoxon's signed-rank test",
        )
    settles = "significant" if paired["p"] < _LEVEL else "not significant"
    return f"{told} ({test}, {p_value(paired['p'])}): the difference is {settles}."
