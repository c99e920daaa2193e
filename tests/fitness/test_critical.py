"""The critical values of races: what is published of special cases, and how they move."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasformer.fitness.critical import critical_value

ENDLESS = 10**9
"""Images of a split that no look comes near the end of."""


@pytest.mark.parametrize(("looks", "published"), [(1, 1.960), (2, 2.178), (3, 2.289), (5, 2.413)])
def test_repeated_looks_cost_what_pocock_found(looks: int, published: float) -> None:
    """Pocock, Biometrika 1977, table 1: equally spaced looks, one-sided 0.025."""
    value = critical_value(0.025, 1, 1, tuple(range(1, looks + 1)), ENDLESS)
    assert value == pytest.approx(published, abs=0.03)


@pytest.mark.parametrize(("others", "published"), [(1, 1.645), (2, 1.916), (5, 2.234), (9, 2.417)])
def test_many_others_cost_what_dunnett_found(others: int, published: float) -> None:
    """Dunnett, JASA 1955, table 1a: one-sided 0.05, infinitely many degrees of freedom."""
    assert critical_value(0.05, 1, others, (1,), ENDLESS) == pytest.approx(published, abs=0.03)


@given(st.floats(0.01, 0.3), st.integers(1, 20), st.integers(1, 60), st.integers(1, 8))
@settings(max_examples=15, deadline=None)
def test_more_others_or_fewer_places_cost_no_less(error: float, keep: int, others: int, count: int) -> None:
    looks = tuple(200 * 2**i for i in range(count))
    value = critical_value(error, keep, others, looks, 100_000)
    single = critical_value(error, 1, 1, looks, 100_000)
    assert value >= single > 0
    assert critical_value(error, keep + 1, others, looks, 100_000) <= value + 0.1
    assert critical_value(error, keep, others + 30, looks, 100_000) >= value - 0.1
    assert critical_value(error / 2, keep, others, looks, 100_000) >= value


def test_it_is_the_same_each_time() -> None:
    asked = (0.05, 3, 20, (200, 300), 1000)
    first = critical_value(*asked)
    critical_value.cache_clear()
    assert critical_value(*asked) == first
