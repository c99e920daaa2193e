"""Splits share no image, keep the classes in proportion and follow the seed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nasformer.data.splits import fingerprint, stratified
from nasformer.errors import DataError

FRACTIONS = {"train": 0.6, "search": 0.2, "test": 0.2}


@given(st.lists(st.integers(3, 40), min_size=1, max_size=6), st.integers(0, 99))
def test_every_image_is_in_one_split_and_every_class_in_each(sizes: list[int], seed: int) -> None:
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes)).tolist()
    parts = stratified(labels, FRACTIONS, seed)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(labels)))
    for name, indices in parts.items():
        counts = Counter(labels[index] for index in indices)
        for label, size in enumerate(sizes):
            assert counts[label] >= 1
            assert abs(counts[label] - FRACTIONS[name] * size) <= 1.5


def test_the_seed_decides() -> None:
    labels = [0, 1] * 20
    first, again, other = (stratified(labels, FRACTIONS, seed)["train"].tolist() for seed in (1, 1, 2))
    assert first == again != other


def test_a_class_with_too_few_images_is_named() -> None:
    with pytest.raises(DataError, match="class 7 has 2 images, too few for the splits train, search, test"):
        stratified([1] * 9 + [7] * 2, FRACTIONS, 0)


def test_the_fingerprint_knows_which_image_is_where() -> None:
    base = {"train": [(0, 1), (1, 0)], "test": [(2, 1)]}
    moved = {"train": [(0, 1)], "test": [(1, 0), (2, 1)]}
    relabelled = {"train": [(0, 1), (1, 1)], "test": [(2, 1)]}
    assert len({fingerprint(splits) for splits in (base, moved, relabelled)}) == 3
    assert fingerprint(base) == fingerprint(base)
