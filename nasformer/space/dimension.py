"""Dimensions: the values that one searched size may take, for the whole network or for each layer."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Self

from nasformer.errors import SpaceError

_LARGEST = 10**9
_MOST_VALUES = 10_000


class Dimension:
    """A finite, sorted set of values.

    Args:
        values: The values, in any order, each once.

    Raises:
        SpaceError: No values, a value twice, or one that is not a number above zero.
    """

    kind: ClassVar[str]
    __slots__ = ("values",)
    values: tuple[float, ...]

    def __init__(self, *values: float) -> None:
        if not values:
            raise SpaceError(f"{self.kind}() is empty; list at least one value", values)
        for value in values:
            if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 < value <= _LARGEST:
                raise SpaceError(
                    f"{self.kind}{values!r} holds {value!r}; every value is a number above 0, {_LARGEST:,} at most",
                    values,
                )
        if len(set(values)) != len(values):
            raise SpaceError(f"{self.kind}{values!r} lists a value twice", values)
        object.__setattr__(self, "values", tuple(sorted(values)))

    @classmethod
    def range(cls, low: float, high: float, step: float) -> Self:
        """Return the values from ``low`` to ``high`` inclusive: the paper's (low, high, step).

        >>> choice.range(192, 240, step=24)
        choice(192, 216, 240)
        >>> per_layer.range(3.5, 4.0, step=0.5)
        per_layer(3.5, 4.0)
        """
        for value in (low, high, step):
            if not isinstance(value, numbers.Real) or isinstance(value, bool) or not abs(value) < float("inf"):
                raise SpaceError(f"range({low!r}, {high!r}, step={step!r}) holds {value!r}; it takes numbers", value)
        first, last, stride = (Decimal(str(number)) for number in (low, high, step))
        if stride <= 0 or first > last:
            raise SpaceError(f"range({low}, {high}, step={step}) is empty; low <= high and step > 0", (low, high, step))
        if last - first >= _MOST_VALUES * stride:
            raise SpaceError(
                f"range({low}, {high}, step={step}) lists more than {_MOST_VALUES:,} values", (low, high, step)
            )
        number = type(low) if type(low) is type(step) else float
        return cls(*(number(first + index * stride) for index in range(int((last - first) / stride) + 1)))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{self!r} is frozen")

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[float]:
        return iter(self.values)

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dimension) and self.kind == other.kind and self.values == other.values

    def __hash__(self) -> int:
        return hash((self.kind, self.values))

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(map(repr, self.values))})"

    def __reduce__(self) -> tuple[type[Self], tuple[float, ...]]:
        return type(self), self.values

    def to_dict(self) -> dict[str, list[float]]:
        """Return the declaration as plain data, such as ``{"choice": [192, 216]}``."""
        return {self.kind: list(self.values)}


class choice(Dimension):  # noqa: N801 - the declared form is the name: embed_dim=choice(192, 216)
    """One value for the whole network.

    >>> choice(240, 192, 216)
    choice(192, 216, 240)
    """

    kind = "choice"
    __slots__ = ()


class per_layer(Dimension):  # noqa: N801
    """One value for each layer, chosen independently.

    >>> per_layer(3, 4)
    per_layer(3, 4)
    """

    kind = "per_layer"
    __slots__ = ()


def as_dimension(name: str, declared: object, *, whole: bool) -> Dimension:
    """Read a dimension: an object of this file, a fixed number, or the plain data of ``to_dict``.

    Args:
        name: The dimension's name, for messages.
        declared: ``choice(…)``, ``per_layer(…)``, a number, ``{"choice": [192, 216]}`` or
            ``{"per_layer": {"low": 3.5, "high": 4, "step": 0.5}}``.
        whole: True where the values are whole numbers (all but the MLP ratio).

    Raises:
        SpaceError: None of these, or a fraction where ``whole``.
    """
    dimension = _read(name, declared)
    if whole and any(value != int(value) for value in dimension):
        raise SpaceError(f"{name}={dimension!r} holds a fraction; {name} takes whole numbers", declared)
    number = int if whole else float
    return type(dimension)(*(number(value) for value in dimension))


def _read(name: str, declared: object) -> Dimension:
    if isinstance(declared, Dimension):
        return declared
    if isinstance(declared, numbers.Real) and not isinstance(declared, bool):
        return _from_values(name, choice, [declared])
    if isinstance(declared, Mapping) and len(declared) == 1:
        ((kind, values),) = declared.items()
        for cls in (choice, per_layer):
            if kind == cls.kind:
                return _from_values(name, cls, values)
    raise SpaceError(f"{name} takes choice(…), per_layer(…) or a number, got {declared!r}", declared)


def _from_values(name: str, cls: type[Dimension], values: Any) -> Dimension:
    if isinstance(values, Mapping):
        if set(values) != {"low", "high", "step"}:
            raise SpaceError(f"{name}: a range takes low, high and step, got {dict(values)!r}", values)
        return _named(name, lambda: cls.range(values["low"], values["high"], values["step"]), values)
    if isinstance(values, Sequence) and not isinstance(values, (str, bytes)):
        return _named(name, lambda: cls(*values), values)
    raise SpaceError(f"{name}: {cls.kind} takes a list of values, got {values!r}", values)


def _named(name: str, make: Callable[[], Dimension], values: object) -> Dimension:
    try:
        return make()
    except SpaceError as error:
        raise SpaceError(f"{name}: {error}", values) from None
