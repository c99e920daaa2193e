"""Sets that list a table's rows: which are sparse, and which rows are nearest."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nasformer.space import EnumeratedSet, load_space

DIGITS = load_space("digits")
SPARSE = EnumeratedSet(DIGITS, DIGITS.sample(120, seed=0), {})


def test_a_part_of_the_space_is_sparse_and_the_whole_is_not() -> None:
    everything = DIGITS.decode(DIGITS.feasible().codes())
    assert SPARSE.sparse
    assert not EnumeratedSet(DIGITS, everything, {}).sparse
    assert not DIGITS.feasible(params=54e3).sparse


@given(st.integers(0, 10_000))
def test_rows_come_by_the_distance_of_their_codes(seed: int) -> None:
    (architecture,) = DIGITS.sample(1, seed=seed)
    rows = list(SPARSE.nearest(architecture))
    steps = np.abs(DIGITS.encode(rows) - DIGITS.encode([architecture])).sum(axis=1)
    assert sorted(steps) == steps.tolist()
    assert len(rows) == len(set(rows)) == SPARSE.count()


def test_a_row_is_nearest_to_itself() -> None:
    (row,) = SPARSE.sample(1, seed=5)
    assert next(SPARSE.nearest(row)) == row
