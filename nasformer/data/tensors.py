"""Datasets from arrays: split, normalised with the statistics of the train split, and recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nasformer.data.dataset import Dataset
from nasformer.data.memory import ImagesInMemory
from nasformer.data.splits import fingerprint, stratified


def from_arrays(
    name: str,
    images: NDArray[np.float32],
    labels: NDArray[Any],
    fractions: Mapping[str, float],
    *,
    seed: int,
    test: tuple[NDArray[np.float32], NDArray[Any]] | None = None,
    classes: Sequence[str] | None = None,
) -> Dataset:
    """Return a dataset in memory.

    Args:
        name: Name in reports.
        images: ``(n, channels, size, size)`` in [0, 1].
        labels: ``(n,)`` class indices.
        fractions: Fractions of train, search and, unless ``test`` is given, test.
        seed: Seed of the splits.
        test: Images and labels of a separate test split.
        classes: Class names; None: numbers, up to the largest label.
    """
    indices = stratified(labels.tolist(), fractions, seed)
    pieces = {key: (images[chosen], labels[chosen], chosen) for key, chosen in indices.items()}
    if test is not None:
        pieces["test"] = (*test, np.arange(len(test[1])))
    mean = pieces["train"][0].mean(axis=(0, 2, 3), dtype=np.float64)
    deviation = pieces["train"][0].std(axis=(0, 2, 3), dtype=np.float64)
    splits = {key: _normalised(x, y, mean, deviation) for key, (x, y, _) in pieces.items()}
    record = {
        "name": name,
        "seed": seed,
        "splits": {key: len(split) for key, split in splits.items()},
        "fingerprint": fingerprint(
            {key: zip(i.tolist(), y.tolist(), strict=True) for key, (_, y, i) in pieces.items()}
        ),
        "mean": mean.tolist(),
        "std": deviation.tolist(),
    }
    num_classes = int(labels.max()) + 1 if classes is None else len(classes)
    return Dataset(
        train=splits["train"],
        search=splits["search"],
        test=splits["test"],
        name=name,
        num_classes=num_classes,
        classes=classes,
        record=record,
    )


def _normalised(
    images: NDArray[np.float32], labels: NDArray[Any], mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> ImagesInMemory:
    shape = (1, -1, 1, 1)
    normal = (images - mean.reshape(shape).astype(np.float32)) / deviation.reshape(shape).astype(np.float32)
    return ImagesInMemory(torch.from_numpy(normal), torch.from_numpy(labels.astype(np.int64)))
