"""Disjoint splits: stratified by class, reproducible from a seed, identified by a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nasformer.errors import DataError

Indices = NDArray[np.int64]


def stratified(labels: Iterable[int], fractions: Mapping[str, float], seed: int) -> dict[str, Indices]:
    """Split the indices of ``labels`` into named parts, stratified by class.

    The last part takes the remainder; each part gets at least one image of each class.

    Args:
        labels: Class of each image.
        fractions: Fraction of each part; they sum to 1.
        seed: Random seed.

    Raises:
        DataError: A class has fewer images than there are parts.

    >>> parts = stratified([0, 0, 0, 0, 0, 1, 1, 1, 1, 1], {"train": 0.6, "search": 0.2, "test": 0.2}, seed=0)
    >>> {name: len(indices) for name, indices in parts.items()}
    {'train': 6, 'search': 2, 'test': 2}
    """
    names = list(fractions)
    classes = np.asarray(list(labels), dtype=np.int64)
    parts: dict[str, list[Indices]] = {name: [] for name in names}
    generator = np.random.default_rng(seed)
    for label in np.unique(classes):
        members = generator.permutation(np.flatnonzero(classes == label))
        if len(members) < len(names):
            raise DataError(
                f"class {label} has {len(members)} images, too few for the splits {', '.join(names)}", label
            )
        for name, piece in zip(names, np.split(members, _ends(len(members), list(fractions.values()))), strict=True):
            parts[name].append(piece)
    return {name: np.sort(np.concatenate(pieces)) for name, pieces in parts.items()}


def fingerprint(splits: Mapping[str, Iterable[tuple[object, object]]]) -> str:
    """Hash the assignment of images (index or path, and target) to splits.

    >>> fingerprint({"train": [(0, 1)], "test": [(1, 0)]}) == fingerprint({"train": [(1, 0)], "test": [(0, 1)]})
    False
    """
    digest = hashlib.sha256()
    for name, items in splits.items():
        digest.update(f"[{name}]".encode())
        for item, label in items:
            digest.update(f"{item}\t{label}\n".encode())
    return digest.hexdigest()


def _ends(count: int, fractions: Sequence[float]) -> list[int]:
    ends = np.round(np.cumsum(fractions)[:-1] * count).astype(int)
    for part in range(len(ends)):  # at least one image for each part before and after
        ends[part] = min(max(ends[part], part + 1), count - (len(ends) - part))
        if part and ends[part] <= ends[part - 1]:
            ends[part] = ends[part - 1] + 1
    return [int(end) for end in ends]
