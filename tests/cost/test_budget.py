"""Budgets: read exactly, written back exactly, never evaluated, and refused in one line that says where."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nasformer.cost import Bounds, as_bounds, as_limits, format_limits, in_counts, in_units, merge, parse_constraints
from nasformer.cost.budget import parse_number
from nasformer.errors import BudgetError

COSTS = ("params", "macs")
ENDS = st.integers(-5, 10**18)
BOUNDS = st.builds(Bounds, st.none() | ENDS, st.none() | ENDS).filter(lambda b: b != (None, None))
ORDERED = BOUNDS.filter(lambda b: b.low is None or b.high is None or b.low <= b.high)
LIMITS = st.dictionaries(st.from_regex(r"\A[a-z_][a-z0-9_]{0,8}\Z").filter(lambda n: n != "and"), ORDERED, min_size=1)
SUFFIXES = {"": 1, "K": 10**3, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


@settings(deadline=None)
@given(LIMITS)
def test_what_is_written_is_read_back(limits: dict[str, Bounds]) -> None:
    assert parse_constraints(format_limits(limits)) == limits


@given(st.integers(0, 10**5), st.integers(0, 10**6 - 1), st.sampled_from(sorted(SUFFIXES)))
def test_numbers_and_suffixes_are_exact(whole: int, millionths: int, suffix: str) -> None:
    text = f"{whole}.{millionths:06d}{suffix}"
    assert Fraction(parse_number(text)) == Fraction(Decimal(f"{whole}.{millionths:06d}")) * SUFFIXES[suffix]
    assert parse_constraints(f"params <= {text}")["params"].high == int(Fraction(parse_number(text)))


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("params <= 6M", None, 6_000_000),
        ("params < 6M", None, 5_999_999),
        ("params >= 6M", 6_000_000, None),
        ("params > 6M", 6_000_001, None),
        ("params == 6M", 6_000_000, 6_000_000),
        ("6M >= params", None, 6_000_000),
        ("6M > params", None, 5_999_999),
        ("6M <= params", 6_000_000, None),
        ("6M < params", 6_000_001, None),
        ("6M == params", 6_000_000, 6_000_000),
        ("5M <= params <= 6M", 5_000_000, 6_000_000),
        ("5M < params < 6M", 5_000_001, 5_999_999),
        ("6M >= params > 5M", 5_000_001, 6_000_000),
        ("params<=6M and 5M<=params", 5_000_000, 6_000_000),
        ("params <= 7M and params <= 6M and params <= 8M", None, 6_000_000),
        ("params < 1.5", None, 1),
        ("params > 1.5", 2, None),
        ("params <= 1.5", None, 1),
        ("params >= 1.5", 2, None),
        ("params <= 1.1K", None, 1100),
        ("params <= 6_000_000", None, 6_000_000),
        ("params <= 6e6", None, 6_000_000),
        ("params <= 6E+3K", None, 6_000_000),
        ("  params\t<=\n6M ", None, 6_000_000),
    ],
)
def test_every_comparison(text: str, low: int | None, high: int | None) -> None:
    assert parse_constraints(text) == {"params": (low, high)}


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("latency_ms <= 4.25", None, 4.25),
        ("latency_ms < 4.25", None, 4.249),
        ("latency_ms > 4.25", 4.251, None),
        ("latency_ms >= 4.2501", 4.251, None),
        ("latency_ms <= 4.2509", None, 4.25),
        ("4 <= latency_ms <= 5", 4.0, 5.0),
        ("speed <= 4.2509", None, 4.2509),
        ("speed == 4.2509", 4.2509, 4.2509),
        ("speed < 1", None, math.nextafter(1, 0)),
        ("speed > 1", math.nextafter(1, 2), None),
    ],
)
def test_bounds_are_rounded_inwards_to_what_the_cost_can_be(text: str, low: float | None, high: float | None) -> None:
    limits = parse_constraints(text, {"latency_ms": 1000, "speed": None})
    assert list(limits.values()) == [(low, high)]
    assert parse_constraints(format_limits(limits), {"latency_ms": 1000, "speed": None}) == limits


@given(st.integers(0, 10**9), st.sampled_from([1, 10, 1000]))
def test_counts_and_units_are_each_others_inverse(count: int, scale: int) -> None:
    assert in_counts(Bounds(in_units(count, scale), None), scale) == (count, None)
    assert as_bounds("cost", str(Decimal(count) / scale), scale).high == in_units(count, scale)


def test_a_name_may_begin_with_and() -> None:
    assert parse_constraints("android <= 1 and and_so_on >= 2") == {"android": (None, 1), "and_so_on": (2, None)}


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("params <= 6M;", "column 13"),
        ("params <= 6m", "column 12"),
        ("params = 6M", "column 8"),
        ("params <= .5M", "column 11"),
        ("params <= 6M macs <= 1G", "column 14"),
        ("params <= 6M or macs <= 1G", "column 14"),
        ("params <= 6M and and <= 3", "column 18"),
        ("params <= 1.5.2", "column 14"),
        ("5M <= 6M", "column 7"),
        ("__import__('os').system('true') <= 1", "column 11"),
        ("params <= (lambda: 6)()", "column 11"),
        ("params <= params", "column 11"),
        ("params <= 6*10", "column 12"),
        ("params <= 0x10", "column 12"),
        ("params <= {6}", "column 11"),
        ("params <= 6M # six", "column 14"),
        ("", "its end"),
        ("params", "its end"),
        ("params <=", "its end"),
        ("params <= 6M and", "its end"),
    ],
)
def test_what_does_not_parse_is_shown_with_its_place(text: str, where: str) -> None:
    with pytest.raises(BudgetError, match=f"cannot be read at {where}; write for instance 'params <= 6M") as e:
        parse_constraints(text)
    assert repr(text) in str(e.value)
    assert e.value.value == text


@settings(deadline=None)
@given(st.text(max_size=30) | st.text("params mc<=>.0123456789eE+-_KMGTand\n", max_size=30))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        limits = as_limits(text, COSTS)
    except BudgetError as error:
        message = str(error)
    else:
        message = ""
        assert parse_constraints(format_limits(limits)) == limits
        assert set(limits) <= set(COSTS)
    assert "\n" not in message


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (6e6, (None, 6_000_000)),
        (5.9, (None, 5)),
        (np.int64(6), (None, 6)),
        (np.float64(6e6), (None, 6_000_000)),
        (Decimal("6e6"), (None, 6_000_000)),
        ("6M", (None, 6_000_000)),
        ((5e6, 6e6), (5_000_000, 6_000_000)),
        ([4.1, 6.9], (5, 6)),
        ((5e6, None), (5_000_000, None)),
        ((None, 6e6), (None, 6_000_000)),
        ((6, 6), (6, 6)),
        ("5e6:6e6", (5_000_000, 6_000_000)),
        (" 5M : 6M ", (5_000_000, 6_000_000)),
        ("5M:", (5_000_000, None)),
        (":6M", (None, 6_000_000)),
        (Bounds(1, 2), (1, 2)),
    ],
)
def test_bounds_of_one_cost(value: object, wanted: tuple[int | None, int | None]) -> None:
    assert as_bounds("params", value) == wanted


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "params must be finite, got nan"),
        (float("inf"), "params must be finite, got inf"),
        ((float("-inf"), 6), "params must be finite, got -inf"),
        ("nan", "'nan'"),
        ("inf:6M", "'inf'"),
        (True, "params takes a number, got True"),
        ("six", "'six' is not a number"),
        ("5M-6M", "'5M-6M' is not a number"),
        ({"most": 6}, r"params takes a number, got {'most': 6}"),
        ([[6]], r"params takes a number, got \[6\]"),
        ((5, 6, 7), r"params takes a number or a \(lower, upper\) pair, got \(5, 6, 7\)"),
        ("5:6:7", r"params takes a number or a \(lower, upper\) pair, got '5:6:7'"),
        ((), r"pair, got \(\)"),
        ((None, None), r"pair, got \(None, None\)"),
        (None, "pair, got None"),
        (":", "pair, got ':'"),
        ("", "pair, got ''"),
        ((6e6, 5e6), r"params has its lower bound 6,000,000.* above its upper bound 5,000,000.*; swap them"),
        ("6M:5M", r"params has its lower bound 6,000,000 above its upper bound 5,000,000; swap them"),
    ],
)
def test_what_is_no_bound_is_refused(value: object, words: str) -> None:
    with pytest.raises(BudgetError, match=words):
        as_bounds("params", value)


@pytest.mark.parametrize(
    ("budget", "wanted"),
    [
        (None, {}),
        ({}, {}),
        (6e6, {"params": (None, 6_000_000)}),
        ((5e6, 6e6), {"params": (5_000_000, 6_000_000)}),
        ("5e6:6e6", {"params": (5_000_000, 6_000_000)}),
        ("macs <= 1.4G", {"macs": (None, 1_400_000_000)}),
        ({"macs": 1.4e9, "params": None}, {"macs": (None, 1_400_000_000)}),
        ({"macs": "1.4G", "params": "5M:6M"}, {"macs": (None, 1_400_000_000), "params": (5_000_000, 6_000_000)}),
    ],
)
def test_a_whole_budget(budget: object, wanted: dict[str, tuple[int | None, int | None]]) -> None:
    assert as_limits(budget, COSTS) == wanted


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"parms": 6e6}, r"unknown cost 'parms' in the budget; did you mean 'params'\?"),
        ("mac <= 1.4G", r"unknown cost 'mac' in the budget; did you mean 'macs'\?"),
        ({"joules": 1}, "unknown cost 'joules' in the budget; known: macs, params"),
        ({3: 1}, "unknown cost '3' in the budget"),
        ("6M <= params <= 5M", "params has its lower bound 6,000,000 above its upper bound 5,000,000"),
        ("params == 1.5", "params has its lower bound 2 above its upper bound 1"),
        ("params >= 6M and params < 5M", "params has its lower bound 6,000,000 above its upper bound 4,999,999"),
    ],
)
def test_a_budget_that_means_nothing_is_refused(budget: Any, words: str) -> None:
    with pytest.raises(BudgetError, match=words):
        as_limits(budget, COSTS)


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ("params <= 1e5000", "'1e5000'"),
        ("1e5000", "'1e5000'"),
        ("1:1e400", "'1e400'"),
        ({"macs": "1e4999T"}, "'1e4999T'"),
        ({"params": 10**400}, "10{400}"),
    ],
)
def test_a_number_beyond_all_costs_is_refused_before_it_fills_the_memory(budget: object, words: str) -> None:
    with pytest.raises(BudgetError, match=words):
        as_limits(budget, COSTS)


def test_limits_meet() -> None:
    first = {"params": Bounds(3, 9), "macs": Bounds(None, 5)}
    assert merge(first, {"params": Bounds(None, 7)}) == {"params": (3, 7), "macs": (None, 5)}
    assert merge({}, first) == merge(first, {}) == first
    assert 7 in Bounds(3, 7)
    assert 8 not in Bounds(3, 7)
    assert 8 in Bounds(3, None)
    assert 2 not in Bounds(3, None)
    assert 0 in Bounds(None, 0)


@pytest.mark.parametrize("budget", ["9.9e18", 9.9e18, ("9.9e18", None), "-9.9e18:", "params < 9.9e18", "9e18 <= macs"])
def test_a_bound_beyond_every_count_is_refused(budget: Any) -> None:
    with pytest.raises(BudgetError, match="is more than any network costs"):
        as_limits(budget, ["params", "macs"])
    with pytest.raises(BudgetError, match="10000000000000000 is more"):
        as_bounds("latency_ms", "1e16", 1000)
