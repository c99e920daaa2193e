"""Measure: accuracy on held-out images and speed on this machine, of an exported model or of any function."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from nasformer.compare.machine import machine
from nasformer.data.batches import iterate
from nasformer.data.dataset import Split
from nasformer.export.opened import Images, Run

BATCHES = (1, 64)
_WARM_UP = 2


def accuracy(run: Run, split: Split, *, images: int | None = None, batch_size: int = 64) -> tuple[float, int]:
    """Return the accuracy in percent on the first images of a split, and how many these are."""
    stop, right = min(images or len(split), len(split)), 0
    for shown, labels in iterate(split, batch_size, device=torch.device("cpu"), stop=stop):
        right += int((run(shown.numpy()).argmax(axis=1) == labels.numpy()).sum())
    return 100.0 * right / stop, stop


def speed(runs: Sequence[Run], shape: Sequence[int], batch_size: int, *, repeats: int = 20) -> list[dict[str, float]]:
    """Return the milliseconds of a batch for each of several models, which run in turn.

    Args:
        runs: The models.
        shape: ``(channels, height, width)`` of an image.
        batch_size: Images in a batch.
        repeats: Rounds.

    Returns:
        ``ms``, the median, ``low`` and ``high``, the quartiles, and ``images_per_second``.
    """
    images: Images = np.random.default_rng(0).standard_normal((batch_size, *shape), dtype=np.float32)
    seconds: list[list[float]] = [[] for _ in runs]
    for number in range(_WARM_UP + repeats):
        for run, taken in zip(runs, seconds, strict=True):
            begin = time.perf_counter()
            run(images)
            if number >= _WARM_UP:
                taken.append(time.perf_counter() - begin)
    return [_told(taken, batch_size) for taken in seconds]


def compared(run: Run, plain: Run, shape: Sequence[int], *, repeats: int = 20) -> dict[str, Any]:
    """Return the speed of a model beside that of fp32 in PyTorch, at each batch size."""
    rows = []
    for batch_size in BATCHES:
        own, theirs = speed((run, plain), shape, batch_size, repeats=repeats)
        ratio = theirs["ms"] / own["ms"]
        rows.append({"batch_size": batch_size, "ms": own["ms"], "ms_fp32": theirs["ms"], "ratio": ratio})
    return {"speed": rows, **here()}


def here() -> dict[str, Any]:
    """Return the machine and its threads."""
    return {"device": machine()["processor"], "threads": torch.get_num_threads()}


def _told(seconds: Sequence[float], batch_size: int) -> dict[str, float]:
    low, median, high = statistics.quantiles(seconds, n=4) if len(seconds) > 1 else [seconds[0]] * 3
    return {
        "ms": 1e3 * median,
        "low": 1e3 * low,
        "high": 1e3 * high,
        "images_per_second": batch_size / median,
    }
