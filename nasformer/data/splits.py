"""Disjoint splits: stratified by class, reproducible from a seed, identified by a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nasformer.errors import DataError

Indices = NDArray[np.int64]


def stratified(
    labels: Iterable[int], fractions: Mapping[str, float], seed: int, classes: Sequence[str] | None = None
) -> dict[str, Indices]:
    """Split the indices of ``labels`` into named parts, stratified by class.

    The last part takes the remainder; each part gets at least one image of each class.

    Args:
        labels: Class of each image.
        fractions: Fraction of each part; they sum to 1.
        seed: Random seed.
        classes: Names of the classes, for messages.

    Raises:
        DataError: A class has fewer images than there are parts.

    >>> parts = stratified([0, 0, 0, 0, 0, 1, 1, 1, 1, 1], {"train": 0.6, "search": 0.2, "test": 0.2}, seed=0)
    >>> {name: len(indices) for name, indices in parts.items()}
    {'train': 6, 'search': 2, 'test': 2}
    """
    names = list(fractions)
    known = np.asarray(list(labels), dtype=np.int64)
    parts: dict[str, list[Indices]] = {name: [] for name in names}
    generator = np.random.default_rng(seed)
    for label in np.unique(known):
        members = generator.permutation(np.flatnonzero(known == label))
        if len(members) < len(names):
            raise DataError(
                _too_few(len(members), names, f"class {classes[label]!r} has" if classes else f"class {label} has"),
                label,
            )
        for name, piece in zip(names, np.split(members, _ends(len(members), list(fractions.values()))), strict=True):
            parts[name].append(piece)
    return {name: np.sort(np.concatenate(pieces)) for name, pieces in parts.items()}


def stratified_labels(targets: NDArray[np.float32], fractions: Mapping[str, float], seed: int) -> dict[str, Indices]:
    """Split images with several labels into named parts, with a similar share of each label.

    Iterative stratification (Sechidis et al., ECML PKDD 2011): the images of the rarest label first, each to the part
    that lacks most of it. The first image of a label goes to the first part, so that each label occurs in it.

    Args:
        targets: Whether each image has each label, ``(images, labels)`` of 0 and 1.
        fractions: Fraction of each part; they sum to 1.
        seed: Random seed.

    Raises:
        DataError: A part would be empty.

    >>> parts = stratified_labels(np.eye(2, dtype=np.float32)[[0, 1] * 5], {"train": 0.6, "test": 0.4}, seed=0)
    >>> {name: len(indices) for name, indices in parts.items()}
    {'train': 6, 'test': 4}
    """
    shares = np.array(list(fractions.values()))
    wanted, room = shares[:, None] * targets.sum(axis=0), shares * len(targets)
    left, part = targets.astype(bool), np.full(len(targets), -1)
    known = np.zeros(targets.shape[1])  # labels of the first part
    order = np.random.default_rng(seed).permutation(len(targets))
    while (part < 0).any():
        counts = left.sum(axis=0)
        label = int(np.where(counts > 0, counts, len(targets) + 1).argmin()) if counts.any() else None
        chosen = order[(part[order] < 0) if label is None else left[order, label]]
        for image in chosen:
            need = room if label is None else wanted[:, label]
            best = np.lexsort((-room, -np.round(need, 9)))[0]
            part[image] = 0 if (targets[image] > known).any() else best
            known = np.maximum(known, targets[image]) if part[image] == 0 else known
            wanted[part[image]] -= targets[image]
            room[part[image]] -= 1
        left[chosen] = False
    parts = {name: np.flatnonzero(part == place) for place, name in enumerate(fractions)}
    if not all(map(len, parts.values())):
        raise DataError(_too_few(len(targets), list(fractions), "there are"), len(targets))
    return parts


def fingerprint(splits: Mapping[str, Iterable[tuple[object, object]]]) -> str:
    """Hash the assignment of images (index or path, and target) to splits.

    >>> fingerprint({"train": [(0, 1)], "test": [(1, 0)]}) == fingerprint({"train": [(1, 0)], "test": [(0, 1)]})
    False
    """
    digest = hashlib.sha256()
    for name, items in splits.items():
        digest.update(f"[{name}]".encode())
        for item, label in items:
            digest.update(f"{item}\t{label}\n".encode(errors="surrogateescape"))  # names that are no UTF-8
    return digest.hexdigest()


def _too_few(count: int, names: Sequence[str], where: str) -> str:
    return f"{where} {count} images, too few for the splits {', '.join(names)}; add images, or remove it"


def _ends(count: int, fractions: Sequence[float]) -> list[int]:
    ends = np.round(np.cumsum(fractions)[:-1] * count).astype(int)
    for part in range(len(ends)):  # at least one image for each part before and after
        ends[part] = min(max(ends[part], part + 1), count - (len(ends) - part))
        if part and ends[part] <= ends[part - 1]:
            ends[part] = ends[part - 1] + 1
    return [int(end) for end in ends]
