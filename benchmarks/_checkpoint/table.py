"""Means over seeds, and intervals of the difference to the best rival."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from benchmarks._marks import markdown

Row = dict[str, Any]
STAGES = {"cut": "cut", "repaired": "repaired", "1": "1 epoch", "3": "3 epochs"}
OURS = "ours"
_RESAMPLES = 2000


def packed(right: Any) -> str:
    """Return which test images are right as hexadecimal digits."""
    return np.packbits(np.asarray(right, dtype=bool)).tobytes().hex()


def unpacked_hits(text: str) -> Any:
    """Inverse of ``packed``, up to zeros at the end."""
    return np.unpackbits(np.frombuffer(bytes.fromhex(text), dtype=np.uint8))


@dataclass(frozen=True)
class Difference:
    """Ours less the best rival's accuracy, in points.

    Attributes:
        rival: Its name.
        mean: Over seeds.
        over_seeds: 95 % t interval of the seeds' paired differences; None: one seed.
        over_images: 95 % bootstrap interval over test images, of the seeds' mean.
    """

    rival: str
    mean: float
    over_seeds: tuple[float, float] | None
    over_images: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.over_images
        seeds = "" if self.over_seeds is None else f"; {self.over_seeds[0]:+.1f} to {self.over_seeds[1]:+.1f}"
        return f"{self.mean:+.1f} to {self.rival} ({low:+.1f} to {high:+.1f}{seeds})"


def accuracy(row: Row, stage: str) -> float | None:
    """Return a row's test accuracy in percent after a stage; a method without repair has that of the cut."""
    test: dict[str, float] = row["test"]
    return test.get(stage, test["cut"] if stage == "repaired" else None)


def mean(rows: Sequence[Row], method: str, fraction: float, stage: str) -> float | None:
    """Return the mean over seeds."""
    found = [accuracy(row, stage) for row in _of(rows, method, fraction)]
    known = [each for each in found if each is not None]
    return float(np.mean(known)) if known else None


def difference(rows: Sequence[Row], fraction: float, stage: str) -> Difference | None:
    """Compare ours with the rival of the highest mean."""
    rivals = {row["method"] for row in rows if row["fraction"] == fraction} - {OURS}
    means = {name: found for name in rivals if (found := mean(rows, name, fraction, stage)) is not None}
    if not means or mean(rows, OURS, fraction, stage) is None:
        return None
    rival = max(means, key=lambda name: means[name])
    theirs = {row["seed"]: row for row in _of(rows, rival, fraction)}
    pairs = [(row, theirs[row["seed"]]) for row in _of(rows, OURS, fraction) if row["seed"] in theirs]
    gains = np.array([_right(one, stage) - _right(other, stage) for one, other in pairs]).astype(float) * 100
    scale = gains.shape[1] / pairs[0][0]["images"]  # zeros at the end
    by_image, by_seed = gains.mean(0), gains.mean(1) * scale
    picks = np.random.default_rng(0).integers(len(by_image), size=(_RESAMPLES, len(by_image)))
    low, high = np.quantile(by_image[picks].mean(1) * scale, [0.025, 0.975])
    return Difference(rival, float(by_seed.mean()), _t_interval(by_seed), (float(low), float(high)))


def _of(rows: Sequence[Row], method: str, fraction: float) -> list[Row]:
    return [row for row in rows if row["method"] == method and row["fraction"] == fraction]


def _right(row: Row, stage: str) -> Any:
    hits = row["hits"]
    return unpacked_hits(hits.get(stage, hits["cut"])).astype(np.int8)


def _t_interval(values: Any) -> tuple[float, float] | None:
    if len(values) < 2:
        return None
    half = float(student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5)
    return float(values.mean()) - half, float(values.mean()) + half


def table(rows: Sequence[Row]) -> str:
    """Return all means as Markdown: a row for each budget and method."""
    fractions = sorted({row["fraction"] for row in rows}, reverse=True)
    methods = list(dict.fromkeys(row["method"] for row in rows))
    header = ["MACs", "method", *STAGES.values(), "seconds to cut and repair", "seconds of 3 epochs"]
    return markdown(header, [_cells(rows, fraction, method) for fraction in fractions for method in methods])


def _cells(rows: Sequence[Row], fraction: float, method: str) -> list[str]:
    own = _of(rows, method, fraction)
    shown = []
    for stage in STAGES:
        missing = stage == "repaired" and not any("repaired" in row["test"] for row in own)
        found = None if missing else mean(rows, method, fraction, stage)
        shown.append("–" if found is None else f"{found:.1f}")
    tuned = [row["seconds"].get("fine-tuning", 0.0) for row in own]
    cut = [sum(row["seconds"].values()) - each for row, each in zip(own, tuned, strict=True)]
    times = [f"{np.mean(each):.0f}" if own else "–" for each in (cut, tuned)]
    return [f"{fraction:.0%}".replace("%", " %"), method, *shown, *times]


def differences(rows: Sequence[Row]) -> str:
    """Return the differences as Markdown: a row for each budget."""
    fractions = sorted({row["fraction"] for row in rows}, reverse=True)
    cells = [[f"{each:.0%}".replace("%", " %"), *(_shown(rows, each, s) for s in STAGES)] for each in fractions]
    return markdown(["MACs", *STAGES.values()], cells)


def _shown(rows: Sequence[Row], fraction: float, stage: str) -> str:
    found = difference(rows, fraction, stage)
    return "–" if found is None else str(found)
