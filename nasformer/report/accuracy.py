"""Confidence intervals of accuracies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class AccuracyInterval(NamedTuple):
    """An interval of an accuracy, in percent."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.1f} – {self.high:.1f} %"

    def overlaps(self, other: AccuracyInterval) -> bool:
        """Whether two intervals overlap."""
        return self.low <= other.high and other.low <= self.high


def interval(accuracy: float, images: int) -> AccuracyInterval:
    """Return the 95 % Wilson interval of an accuracy in percent, for images from the same distribution.

    >>> str(interval(97.5, 360))
    '95.3 – 98.7 %'
    """
    from scipy.stats import binomtest

    correct = min(images, max(0, round(accuracy * images / 100)))
    ends = binomtest(correct, images).proportion_ci(0.95, method="wilson")
    return AccuracyInterval(100 * float(ends.low), 100 * float(ends.high))


def split_size(data: Mapping[str, Any] | None, split: str) -> int | None:
    """Return the number of images of a split in a dataset's record; None if unknown."""
    splits = (data or {}).get("splits")
    size = splits.get(split) if isinstance(splits, Mapping) else None
    return size if isinstance(size, int) and size > 0 else None
