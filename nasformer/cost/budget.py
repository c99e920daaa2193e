"""Budgets: what a network may cost, as numbers, pairs, mappings or one line of text.

The text is a small grammar, parsed and never evaluated: comparisons of a cost with a number, chained
where wanted, joined by ``and``. Numbers take the suffixes K, M, G and T::

    params <= 6M
    5M <= params <= 6M and macs <= 1.4G
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import NamedTuple

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from nasformer.errors import BudgetError, did_you_mean

_GRAMMAR = r"""
start: clause ("and" clause)*
clause: NUMBER OP NAME OP NUMBER -> chain
      | NAME OP NUMBER           -> upper
      | NUMBER OP NAME           -> lower
OP: "<=" | ">=" | "<" | ">" | "=="
NUMBER: /-?[0-9][0-9_]*(\.[0-9]+)?([eE][+-]?[0-9]+)?[KkMGT]?/
NAME: /(?!and\b)[A-Za-z_][A-Za-z0-9_]*/
%ignore /\s+/
"""
_SUFFIXES = {"K": 3, "k": 3, "M": 6, "G": 9, "T": 12}
_DIGITS = 18  # 1e18 MACs are ten million ViT-G: a larger number is a slip, and costs are int64
_MIRRORED = {"<=": ">=", ">=": "<=", "<": ">", ">": "<", "==": "=="}
_EXAMPLE = "write for instance 'params <= 6M and macs <= 1.4G'"


class Bounds(NamedTuple):
    """The least and the most that a cost may be, both inclusive; None: no bound on that side."""

    low: int | None
    high: int | None

    def __contains__(self, cost: object) -> bool:
        """Whether a cost lies within both ends."""
        return (self.low is None or cost >= self.low) and (self.high is None or cost <= self.high)  # type: ignore[operator]

    def __and__(self, other: Bounds) -> Bounds:
        """Return the bounds that hold both."""
        lows = [low for low in (self.low, other.low) if low is not None]
        highs = [high for high in (self.high, other.high) if high is not None]
        return Bounds(max(lows, default=None), min(highs, default=None))


Limits = dict[str, Bounds]
"""Bounds by the name of the cost."""


def parse_number(text: str) -> Decimal:
    """Read a number with an optional suffix, exactly.

    >>> parse_number("1.4G"), parse_number("5e6"), parse_number("6_000")
    (Decimal('1400000000.0'), Decimal('5000000'), Decimal('6000'))
    """
    suffix = text[-1:] if text[-1:] in _SUFFIXES else ""
    try:
        value = Decimal(text.removesuffix(suffix)) * 10 ** _SUFFIXES.get(suffix, 0)
    except ArithmeticError:
        raise BudgetError(f"{text!r} is no number; {_EXAMPLE}", text) from None
    if not value.is_finite():
        raise BudgetError(f"a budget must be finite, got {text!r}", text)
    if value.adjusted() > _DIGITS:
        raise BudgetError(f"{text!r} is more than any network costs; {_EXAMPLE}", text)
    return Decimal(f"{value:f}")


def parse_constraints(text: str) -> Limits:
    """Read one line of constraints.

    Raises:
        BudgetError: The line does not follow the grammar; the message gives the column.

    >>> parse_constraints("5M <= params <= 6M and macs <= 1.4G")
    {'params': Bounds(low=5000000, high=6000000), 'macs': Bounds(low=None, high=1400000000)}
    """
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as error:
        at_end = getattr(getattr(error, "token", None), "type", None) == "$END"
        where = "at its end" if at_end else f"at column {error.column}"
        raise BudgetError(f"constraints {text!r} cannot be read {where}; {_EXAMPLE}", text) from None
    limits: Limits = {}
    for clause in tree.children:
        assert isinstance(clause, Tree)
        for name, bounds in _comparisons(clause):
            limits[name] = _ordered(name, limits.get(name, Bounds(None, None)) & bounds, text)
    return limits


def as_bounds(name: str, value: object) -> Bounds:
    """Read the bounds of one cost: a number (the most), a (least, most) pair, or ``"5e6:6e6"``.

    Raises:
        BudgetError: Neither of these, or the least is above the most.

    >>> as_bounds("params", 6e6)
    Bounds(low=None, high=6000000)
    >>> as_bounds("params", (5e6, None)), as_bounds("params", "5M:6M")
    (Bounds(low=5000000, high=None), Bounds(low=5000000, high=6000000))
    """
    ends: Iterable[object]
    if isinstance(value, str):
        ends = [end.strip() or None for end in value.split(":")]
    else:
        ends = value if isinstance(value, (tuple, list)) else [value]
    pair = [None, *ends] if len(list(ends)) == 1 else list(ends)
    if len(pair) != 2 or pair == [None, None]:
        raise BudgetError(f"{name} takes a number or a (least, most) pair, got {value!r}", value)
    low, high = (None if end is None else _decimal(name, end) for end in pair)
    if low is not None and high is not None and low > high:
        raise BudgetError(f"{name} has its least {low:,} above its most {high:,}; swap them", value)
    return Bounds(None if low is None else math.ceil(low), None if high is None else math.floor(high))


def _ordered(name: str, bounds: Bounds, text: str) -> Bounds:
    low, high = bounds
    if low is not None and high is not None and low > high:
        raise BudgetError(f"{name} has its least {low:,} above its most {high:,} in {text!r}", text)
    return bounds


def as_limits(budget: object, known: Iterable[str]) -> Limits:
    """Read a whole budget: a number or pair of parameters, a mapping by cost, or a line of text.

    Raises:
        BudgetError: It cannot be read, or names a cost that is not among ``known``.

    >>> as_limits({"params": (5e6, 6e6), "macs": 1.4e9}, ["params", "macs"])["macs"]
    Bounds(low=None, high=1400000000)
    """
    if budget is None:
        return {}
    if isinstance(budget, str) and any(sign in budget for sign in "<>="):
        limits = parse_constraints(budget)
    elif isinstance(budget, Mapping):
        limits = {str(name): as_bounds(str(name), value) for name, value in budget.items() if value is not None}
    else:
        limits = {"params": as_bounds("params", budget)}
    for name in limits:
        if name not in known:
            raise BudgetError(f"unknown cost {name!r} in the budget; {did_you_mean(name, known)}", budget)
    return limits


def merge(first: Limits, second: Limits) -> Limits:
    """Return the limits that hold both."""
    unbounded = Bounds(None, None)
    return {name: first.get(name, unbounded) & second.get(name, unbounded) for name in {**first, **second}}


def format_limits(limits: Mapping[str, Bounds]) -> str:
    """Return the line that ``parse_constraints`` reads back.

    >>> format_limits(parse_constraints("5M <= params <= 6M"))
    '5000000 <= params <= 6000000'
    """
    return " and ".join(_format_bounds(name, bounds) for name, bounds in limits.items())


def _format_bounds(name: str, bounds: Bounds) -> str:
    low = "" if bounds.low is None else f"{bounds.low} <= "
    high = "" if bounds.high is None else f" <= {bounds.high}"
    return f"{name} >= {bounds.low}" if low and not high else f"{low}{name}{high}"


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr")


def _comparisons(clause: Tree[Token]) -> list[tuple[str, Bounds]]:
    parts = [str(child) for child in clause.children]
    if clause.data == "upper":
        return [(parts[0], _compare(parts[1], parts[2]))]
    name = parts[2]
    left = _compare(_MIRRORED[parts[1]], parts[0])
    return [(name, left)] if clause.data == "lower" else [(name, left), (name, _compare(parts[3], parts[4]))]


def _compare(operator: str, text: str) -> Bounds:
    value = parse_number(text)
    floor, ceil = math.floor(value), math.ceil(value)
    return {
        "<=": Bounds(None, floor),
        ">=": Bounds(ceil, None),
        "<": Bounds(None, ceil - 1),
        ">": Bounds(floor + 1, None),
        "==": Bounds(ceil, floor),
    }[operator]


def _decimal(name: str, value: object) -> Decimal:
    if isinstance(value, str):
        return parse_number(value)
    try:
        number = Decimal(str(value))
    except (ArithmeticError, ValueError):
        raise BudgetError(f"{name} takes a number, got {value!r}; {_EXAMPLE}", value) from None
    if not number.is_finite():
        raise BudgetError(f"{name} must be finite, got {value!r}", value)
    if number.adjusted() > _DIGITS:
        raise BudgetError(f"{name} {value!r} is more than any network costs", value)
    return number
