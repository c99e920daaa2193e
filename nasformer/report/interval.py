"""Confidence intervals of metrics over the examples of a split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from nasformer.tasks import Metric

_QUANTILE = 1.959964
"""Of the normal distribution, for 95 %."""


class MetricInterval(NamedTuple):
    """A 95 % interval of a metric, in its unit."""

    low: float
    high: float
    metric: Metric

    def __str__(self) -> str:
        digits, unit = max(0, self.metric.digits - 1), self.metric.unit
        return f"{self.low:.{digits}f} – {self.high:.{digits}f}{' ' if unit else ''}{unit}"


def interval(metric: Metric, scores: Mapping[str, Any], examples: int | None) -> MetricInterval | None:
    """Return the 95 % interval of a metric for so many examples from the same distribution; None: unknown.

    Of proportions it is Wilson's, of other metrics by the ``standard_error`` among the scores.

    >>> from nasformer.tasks import get_task
    >>> str(interval(get_task("classification").metrics[0], {"accuracy": 97.5}, 360))
    '95.3 – 98.7 %'
    """
    value, error = scores.get(metric.name), (scores.get("standard_error") or {}).get(metric.name)
    if value is None or not (examples if metric.proportion else error):
        return None
    if not metric.proportion:
        half = _QUANTILE * float(error or 0)
        return MetricInterval(value - half, value + half, metric)
    from scipy.stats import binomtest

    count = examples or 0
    right = min(count, max(0, round(value * count / 100)))
    ends = binomtest(right, count).proportion_ci(0.95, method="wilson")
    return MetricInterval(100 * float(ends.low), 100 * float(ends.high), metric)
