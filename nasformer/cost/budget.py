"""Budgets: bounds on costs, as numbers, pairs, mappings or one line of text.

Bounds are in the cost's unit and rounded inwards to its resolution: whole parameters, thousandths of
``latency_ms``. Bounds on real-valued costs are not rounded.

The text follows a small grammar, parsed and never evaluated: comparisons of a cost with a number, optionally
chained, joined by ``and``. Numbers take the suffixes K, M, G and T::

    params <= 6M
    5M <= params <= 6M and macs <= 1.4G

Several budgets are separated by commas; a number alone takes the place of the last one before it::

    macs <= 1M, 2M, 4M
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import pairwise
from typing import NamedTuple, Protocol, runtime_checkable

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
_DIGITS = 18  # 1e18 MACs are ten million ViT-G: larger numbers are typos, and costs are int64
_MIRRORED = {"<=": ">=", ">=": "<=", "<": ">", ">": "<", "==": "=="}
_EXAMPLE = "write for instance 'params <= 6M and macs <= 1.4G'"


@runtime_checkable
class Cost(Protocol):
    """A cost that budgets can bound.

    Attributes:
        name: The cost's name in budgets, including its unit if any.
        scale: Counts per unit: 1000 for ``latency_ms`` counted in microseconds; None: a real-valued cost.
    """

    @property
    def name(self) -> str:
        """The cost's name in budgets."""
        ...

    @property
    def scale(self) -> int | None:
        """Counts per unit; None: real-valued."""
        ...


class Bounds(NamedTuple):
    """Inclusive lower and upper bound of a cost; None: unbounded."""

    low: float | None
    high: float | None

    def __contains__(self, cost: object) -> bool:
        """Whether a cost is within both bounds."""
        return (self.low is None or cost >= self.low) and (self.high is None or cost <= self.high)  # type: ignore[operator]

    def __and__(self, other: Bounds) -> Bounds:
        """Return the intersection."""
        lows = [low for low in (self.low, other.low) if low is not None]
        highs = [high for high in (self.high, other.high) if high is not None]
        return Bounds(max(lows, default=None), min(highs, default=None))


Limits = dict[str, Bounds]
"""Bounds by cost name."""


def parse_number(text: str) -> Decimal:
    """Parse a number with an optional suffix, exactly.

    >>> parse_number("1.4G"), parse_number("5e6"), parse_number("6_000")
    (Decimal('1400000000.0'), Decimal('5000000'), Decimal('6000'))
    """
    suffix = text[-1:] if text[-1:] in _SUFFIXES else ""
    try:
        value = Decimal(text.removesuffix(suffix)) * 10 ** _SUFFIXES.get(suffix, 0)
    except ArithmeticError:
        raise BudgetError(f"{text!r} is not a number; {_EXAMPLE}", text) from None
    if not value.is_finite():
        raise BudgetError(f"a budget must be finite, got {text!r}", text)
    if value.adjusted() > _DIGITS:
        raise BudgetError(f"{text!r} is more than any network costs; {_EXAMPLE}", text)
    return Decimal(f"{value:f}")


def parse_constraints(text: str, scales: Mapping[str, int | None] | None = None) -> Limits:
    """Parse one line of constraints.

    Args:
        text: The line.
        scales: ``Cost.scale`` by cost; default: 1.

    Raises:
        BudgetError: A syntax error; the message gives the column.

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
        for name, operator, number in _comparisons(clause):
            bounds = _compare(operator, parse_number(number), (scales or {}).get(name, 1))
            limits[name] = _check_order(name, limits.get(name, Bounds(None, None)) & bounds, text)
    return limits


def as_bounds(name: str, value: object, scale: int | None = 1) -> Bounds:
    """Parse the bounds of one cost: a number (upper bound), a (lower, upper) pair, or ``"5e6:6e6"``.

    Args:
        name: The cost.
        value: Its bounds.
        scale: Counts per unit, as ``Cost.scale``.

    Raises:
        BudgetError: None of these, or the lower bound exceeds the upper.

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
        raise BudgetError(f"{name} takes a number or a (lower, upper) pair, got {value!r}", value)
    low, high = (None if end is None else _decimal(name, end) for end in pair)
    if low is not None and high is not None and low > high:
        raise BudgetError(f"{name} has its lower bound {low:,} above its upper bound {high:,}; swap them", value)
    return Bounds(None if low is None else _lower(low, scale), None if high is None else _upper(high, scale))


def _lower(value: Decimal, scale: int | None) -> float:
    return float(value) if scale is None else in_units(math.ceil(_counts(value, scale)), scale)


def _upper(value: Decimal, scale: int | None) -> float:
    return float(value) if scale is None else in_units(math.floor(_counts(value, scale)), scale)


def _counts(value: Decimal, scale: int) -> Decimal:
    """Return a bound in counts, which are int64."""
    if abs(value) * scale > 10**_DIGITS:
        raise BudgetError(f"{value:g} is more than any network costs; {_EXAMPLE}", value)
    return value * scale


def in_units(count: int, scale: int) -> float:
    """Convert a count to the cost's unit: an int if the scale is 1.

    >>> in_units(4200, 1000), in_units(4200, 1)
    (4.2, 4200)
    """
    return count if scale == 1 else count / scale


def in_counts(bounds: Bounds, scale: int) -> Bounds:
    """Convert bounds to counts.

    >>> in_counts(Bounds(None, 4.2), 1000)
    Bounds(low=None, high=4200)
    """
    return Bounds(*(None if end is None else round(end * scale) for end in bounds))


def _check_order(name: str, bounds: Bounds, text: str) -> Bounds:
    low, high = bounds
    if low is not None and high is not None and low > high:
        raise BudgetError(f"{name} has its lower bound {low:,} above its upper bound {high:,} in {text!r}", text)
    return bounds


def as_limits(budget: object, known: Iterable[str] | Mapping[str, Cost]) -> Limits:
    """Parse a budget: a number or pair (parameters), a mapping by cost, or a line of text.

    Args:
        budget: The budget.
        known: Costs by name, or names of costs with scale 1.

    Raises:
        BudgetError: It cannot be parsed, or names an unknown cost.

    >>> as_limits({"params": (5e6, 6e6), "macs": 1.4e9}, ["params", "macs"])["macs"]
    Bounds(low=None, high=1400000000)
    """
    if budget is None:
        return {}
    scales = {name: cost.scale for name, cost in known.items()} if isinstance(known, Mapping) else {}
    if isinstance(budget, str) and any(sign in budget for sign in "<>="):
        limits = parse_constraints(budget, scales)
        _check_known(limits, known, budget)
        return limits
    given = budget if isinstance(budget, Mapping) else {"params": budget}
    named = {str(name): value for name, value in given.items() if value is not None}
    _check_known(named, known, budget)
    return {name: as_bounds(name, value, scales.get(name, 1)) for name, value in named.items()}


def as_budgets(
    budgets: object, known: Iterable[str] | Mapping[str, Cost], further: Limits | None = None
) -> tuple[Limits, ...]:
    """Parse several budgets: a sequence of what ``as_limits`` takes, or a line.

    Args:
        budgets: The budgets, each other than the others.
        known: As in ``as_limits``.
        further: Bounds that hold for each.

    Raises:
        BudgetError: There is none, one cannot be parsed or bounds nothing, or two are the same.

    >>> [format_limits(each) for each in as_budgets("macs <= 1M, 2M", ["params", "macs"])]
    ['macs <= 1000000', 'macs <= 2000000']
    """
    given = _split(budgets) if isinstance(budgets, str) else budgets
    if not isinstance(given, Iterable) or isinstance(given, Mapping) or not (entries := list(given)):
        raise BudgetError(f"budgets is a list of at least one, such as [1e6, 2e6], got {budgets!r}", budgets)
    found: list[Limits] = []
    for number, each in enumerate(entries, 1):
        own = as_limits(each, known)
        if not own:
            raise BudgetError(f"budget {number} of {len(entries)} bounds no cost, got {each!r}; {_EXAMPLE}", budgets)
        limits = merge(own, further or {})
        if limits in found:
            same = f"budgets {found.index(limits) + 1} and {number} are the same, {format_limits(limits)}"
            raise BudgetError(f"{same}; leave one out", budgets)
        found.append(limits)
    return tuple(found)


def _split(line: str) -> list[str]:
    """Split a line of budgets; a number alone takes the place of the last one before it."""
    found, start = [], ""
    for entry in line.split(","):
        end = 1 + max(map(entry.rfind, "<>="))
        found.append(entry if end else f"{start}{entry.strip()}")
        start = entry[:end] or start
    return found


def _check_known(names: Iterable[str], known: Iterable[str], budget: object) -> None:
    for name in names:
        if name not in known:
            raise BudgetError(f"unknown cost {name!r} in the budget; {did_you_mean(name, known)}", budget)


def merge(first: Limits, second: Limits) -> Limits:
    """Return the intersection of two sets of limits."""
    unbounded = Bounds(None, None)
    return {name: first.get(name, unbounded) & second.get(name, unbounded) for name in {**first, **second}}


def hull(budgets: Sequence[Limits]) -> Limits:
    """Return the limits that hold in all of several budgets: of each cost that all bound, the loosest bounds.

    >>> hull([{"params": Bounds(1, 5), "macs": Bounds(None, 9)}, {"params": Bounds(2, 8)}])
    {'params': Bounds(low=1, high=8)}
    """
    loosest: Limits = {}
    for name in budgets[0]:
        lows, highs = zip(*(limits.get(name, Bounds(None, None)) for limits in budgets), strict=True)
        bounds = Bounds(None if None in lows else min(lows), None if None in highs else max(highs))
        loosest |= {name: bounds} if bounds != (None, None) else {}
    return loosest


def between(budgets: Sequence[Limits]) -> list[Limits]:
    """Return a budget midway between each and the next tighter one, if they differ in one upper bound alone.

    >>> [each["params"].high for each in between(as_budgets([1e6, 4e6, 2e6], ["params"]))]
    [1500000.0, 3000000.0]
    """
    names = {name for limits in budgets for name in limits if any(own.get(name) != limits[name] for own in budgets)}
    if len(names) != 1:
        return []
    (name,) = names
    bounds = sorted((limits[name] for limits in budgets if name in limits), key=lambda own: own.high or math.inf)
    return [
        {**budgets[0], name: Bounds(loose.low, (tight.high + loose.high) / 2)}
        for tight, loose in pairwise(bounds)
        if tight.low == loose.low and tight.high is not None and loose.high is not None
    ]


def within(costs: Mapping[str, float], limits: Mapping[str, Bounds]) -> bool:
    """Whether costs are within limits.

    >>> within({"params": 5, "macs": 9}, {"params": Bounds(None, 5)})
    True
    """
    return all(costs[name] in bounds for name, bounds in limits.items())


def format_limits(limits: Mapping[str, Bounds]) -> str:
    """Inverse of ``parse_constraints``.

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


def _comparisons(clause: Tree[Token]) -> list[tuple[str, str, str]]:
    """Return name, operator and number of each comparison in a clause."""
    parts = [str(child) for child in clause.children]
    if clause.data == "upper":
        return [(parts[0], parts[1], parts[2])]
    left = (parts[2], _MIRRORED[parts[1]], parts[0])
    return [left] if clause.data == "lower" else [left, (parts[2], parts[3], parts[4])]


def _compare(operator: str, value: Decimal, scale: int | None) -> Bounds:
    if operator == "<=":
        return Bounds(None, _upper(value, scale))
    if operator == ">=":
        return Bounds(_lower(value, scale), None)
    if operator == "==":
        return Bounds(_lower(value, scale), _upper(value, scale))
    if scale is None:
        return (
            Bounds(None, math.nextafter(value, -math.inf))
            if operator == "<"
            else (Bounds(math.nextafter(value, math.inf), None))
        )
    count = _counts(value, scale)
    if operator == "<":
        return Bounds(None, in_units(math.ceil(count) - 1, scale))
    return Bounds(in_units(math.floor(count) + 1, scale), None)


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
