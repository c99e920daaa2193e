"""Dimensions: the searchable dimensions of vision transformers, and their values in a space.

A ``Kind`` defines a dimension: its scope, its range and, for plug-ins, its costs and the layer that it builds.
``choice`` and ``per_layer`` declare values. A ``Dimension`` is a kind with the values of one space; all other code
(architectures, codes, feasible sets, strategies, studies, reports) iterates over a space's dimensions generically.

Plug-ins register kinds under the entry-point group ``nasformer.dimensions``, or with ``register``.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self, get_args

from nasformer.errors import SpaceError, did_you_mean

Scope = Literal["network", "layer"]
_TAKEN = """
axes centroid codec constraints costs decode differences dimensions encode feasible fingerprint for_data flatten
from_dict from_json further geometry grid head_dim hidden_dim hidden_dims in_channels input_shape instance_norm
intercept known_costs largest layers macs macs_batch max_distance maximum name network num_classes of pair
params params_batch patch_dim patches pooled_tokens pooling position_rows quality replace require sample
sample_codes save series size smallest stride suggest supernet supernet_architecture to_dict to_json tokens with_cost
with_series variant with_pooling
"""
"""Names taken by other keywords and attributes."""
_MAX_VALUE = 10**9
_MAX_CHOICES = 10_000


@dataclass(frozen=True, eq=False, slots=True)
class Kind:
    """The definition of a dimension, independent of a space.

    Args:
        name: Its name: a keyword of ``SearchSpace`` and an attribute of ``Architecture``.
        scope: ``"network"``: one value for the network; ``"layer"``: one per layer.
        whole: Whether its values are integers.
        least: The smallest value; 0 if a layer may skip it.
        most: The largest value.
        title: Display name in figures and reports; default: the name.
        grows: Whether larger values make larger networks.
        costs: Added cost of a layer, ``(network, layer) -> count``, or for a network dimension of the stem,
            ``(network) -> count``; by the cost's name.
        attention: Factory of a layer's attention that replaces ``SlicedAttention``: same arguments, and the
            ``layer`` as a keyword.

    Raises:
        SpaceError: An unknown scope, or a name that is not an identifier.
    """

    name: str
    scope: Scope
    whole: bool = True
    least: float = 1
    most: float = 10**6
    title: str = ""
    grows: bool = True
    costs: Mapping[str, Callable[..., int]] = field(default_factory=dict)
    attention: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        if self.scope not in get_args(Scope):
            raise SpaceError(f"dimension {self.name!r} has the scope {self.scope!r}; known: layer, network", self.scope)
        if not isinstance(self.name, str) or not self.name.isidentifier() or self.name.startswith("_"):
            raise SpaceError(f"the name of a dimension is one word, got {self.name!r}", self.name)
        if self.name in _TAKEN.split():
            raise SpaceError(f"{self.name!r} means something else in a space or a network; rename it", self.name)
        if not 0 <= self.least <= self.most <= _MAX_VALUE:
            raise SpaceError(
                f"dimension {self.name!r} has values from {self.least} to {self.most}; they lie in 0 to {_MAX_VALUE:,}",
                self,
            )
        if self.attention is not None and self.scope == "network":
            raise SpaceError(f"dimension {self.name!r} builds attention, so its scope is 'layer'", self.scope)
        object.__setattr__(self, "title", self.title or self.name)

    def number(self, value: object) -> float:
        """Convert a value to the dimension's type, int or float.

        Raises:
            SpaceError: It is not a number within the dimension's range.
        """
        if type(value) is int and self.least <= value <= self.most:  # fast path
            return value if self.whole else float(value)
        try:
            real = float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else float("nan")
        except OverflowError:
            real = float("inf")
        if not self.least <= real <= self.most or (self.whole and not real.is_integer()):
            raise SpaceError(f"{self.name} must be {self.rule}, got {value!r}", value)
        return int(real) if self.whole else real

    @property
    def rule(self) -> str:
        """The valid values, in words."""
        return f"a {'whole ' if self.whole else ''}number of at least {self.least:g}, {self.most:,} at most"


EMBED_DIM = Kind("embed_dim", "network", title="embedding width")
DEPTH = Kind("depth", "network", most=1000)
NUM_HEADS = Kind("num_heads", "layer", least=0, title="attention heads")
MLP_RATIO = Kind("mlp_ratio", "layer", whole=False, least=0, title="MLP ratio")
PATCH_SIZE = Kind("patch_size", "network", title="patch size", grows=False)
IMAGE_SIZE = Kind("image_size", "network", title="image size")

BASIC = (EMBED_DIM, DEPTH, NUM_HEADS, MLP_RATIO)
"""The dimensions of every space, in the order of the codes."""

_KINDS: dict[str, Kind] = {kind.name: kind for kind in (*BASIC, PATCH_SIZE, IMAGE_SIZE)}


def register(kind: Kind) -> Kind:
    """Register a kind for spaces and architectures; return it.

    Raises:
        SpaceError: The name is taken.
    """
    if not isinstance(kind, Kind):
        raise SpaceError(f"a dimension is registered as a Kind, got {kind!r}", kind)
    if _KINDS.setdefault(kind.name, kind) is not kind:
        raise SpaceError(f"there is a dimension {kind.name!r} already; give this one another name", kind)
    return kind


def kind_names() -> list[str]:
    """Return the names of all known dimensions, plug-ins included.

    >>> kind_names()[:6]
    ['depth', 'embed_dim', 'image_size', 'mlp_ratio', 'num_heads', 'patch_size']
    """
    return sorted({*_KINDS, *_plugins()})


def kind_of(name: str) -> Kind:
    """Return a dimension's kind by name.

    Raises:
        SpaceError: The name is unknown.
    """
    if name not in _KINDS and name in _plugins():
        try:
            loaded = _plugins()[name].load()
        except Exception as error:
            reason = " ".join(str(error).split())
            raise SpaceError(
                f"dimension {name!r} cannot be imported: {type(error).__name__}: {reason}", name
            ) from error
        if not isinstance(loaded, Kind) or loaded.name != name:
            raise SpaceError(f"entry point {name!r} is not a Kind of that name, got {loaded!r}", loaded)
        register(loaded)
    if name not in _KINDS:
        raise SpaceError(f"unknown dimension {name!r}; {did_you_mean(str(name), kind_names())}", name)
    return _KINDS[name]


@cache
def _plugins() -> Mapping[str, Any]:
    return MappingProxyType({point.name: point for point in entry_points(group="nasformer.dimensions")})


@dataclass(frozen=True, slots=True)
class Dimension:
    """A dimension of one space: a kind with values.

    Args:
        name: The kind's name.
        scope: The kind's scope.
        values: The values, ascending.
        tied: Whether all layers share one value; always true of network dimensions.

    Raises:
        SpaceError: An unknown name or scope, or an invalid value.

    >>> Dimension("num_heads", "layer", (2, 4)).values
    (2, 4)
    """

    name: str
    scope: Scope
    values: tuple[float, ...]
    tied: bool = False

    def __post_init__(self) -> None:
        if self.scope not in get_args(Scope):
            raise SpaceError(f"dimension {self.name!r} has the scope {self.scope!r}; known: layer, network", self.scope)
        if self.kind.scope != self.scope:
            raise SpaceError(
                f"{self.name} is a dimension of the {self.kind.scope}, not of the {self.scope}", self.scope
            )
        values = tuple(sorted(self.kind.number(value) for value in self.values))
        if not values or len(set(values)) != len(values):
            raise SpaceError(f"{self.name} has distinct values, at least one, got {self.values!r}", self.values)
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "tied", self.tied or self.scope == "network")

    @property
    def kind(self) -> Kind:
        """The dimension's definition."""
        return kind_of(self.name)

    def at(self, quantile: float) -> float:
        """Return the value at a quantile of network size: 0 is the smallest network, 1 the largest."""
        place = round(quantile * (len(self.values) - 1))
        return self.values[place if self.kind.grows else len(self.values) - 1 - place]


class Choices:
    """A finite, sorted set of declared values.

    Args:
        values: Distinct values, in any order.

    Raises:
        SpaceError: No values, a duplicate, or a value that is not a number of at least 0.
    """

    form: ClassVar[str]
    __slots__ = ("values",)
    values: tuple[float, ...]

    def __init__(self, *values: float) -> None:
        if not values:
            raise SpaceError(f"{self.form}() is empty; list at least one value", values)
        for value in values:
            if not isinstance(value, numbers.Real) or isinstance(value, bool) or not 0 <= value <= _MAX_VALUE:
                raise SpaceError(
                    f"{self.form}{values!r} holds {value!r}; every value is a number from 0 to {_MAX_VALUE:,}",
                    values,
                )
        if len(set(values)) != len(values):
            raise SpaceError(f"{self.form}{values!r} lists a value twice", values)
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
        if last - first >= _MAX_CHOICES * stride:
            raise SpaceError(
                f"range({low}, {high}, step={step}) lists more than {_MAX_CHOICES:,} values", (low, high, step)
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
        return isinstance(other, Choices) and self.form == other.form and self.values == other.values

    def __hash__(self) -> int:
        return hash((self.form, self.values))

    def __repr__(self) -> str:
        return f"{self.form}({', '.join(map(repr, self.values))})"

    def __reduce__(self) -> tuple[type[Self], tuple[float, ...]]:
        return type(self), self.values

    def to_dict(self) -> dict[str, list[float]]:
        """Return the declaration as JSON-compatible data, such as ``{"choice": [192, 216]}``."""
        return {self.form: list(self.values)}


class choice(Choices):  # noqa: N801 - the declared form is the name: embed_dim=choice(192, 216)
    """One value for the whole network.

    >>> choice(240, 192, 216)
    choice(192, 216, 240)
    """

    form = "choice"
    __slots__ = ()


class per_layer(Choices):  # noqa: N801
    """One independent value per layer.

    >>> per_layer(3, 4)
    per_layer(3, 4)
    """

    form = "per_layer"
    __slots__ = ()


def as_choices(name: str, declared: object) -> Choices:
    """Parse the values of a dimension.

    Args:
        name: The dimension's name.
        declared: ``choice(…)``, ``per_layer(…)``, a number, ``{"choice": [192, 216]}`` or
            ``{"per_layer": {"low": 3.5, "high": 4, "step": 0.5}}``.

    Raises:
        SpaceError: None of these, or invalid values.
    """
    kind, choices = kind_of(name), _parse(name, declared)
    if kind.scope == "network" and isinstance(choices, per_layer):
        raise SpaceError(f"{name} has one value for the whole network; declare it with choice(…)", declared)
    for value in choices:
        if not kind.least <= value <= kind.most:
            raise SpaceError(f"{name}: {choices!r} holds {value!r}; {name} is {kind.rule}", declared)
    if kind.whole and any(value != int(value) for value in choices):
        raise SpaceError(f"{name}={choices!r} holds a fraction; {name} takes whole numbers", declared)
    return type(choices)(*(kind.number(value) for value in choices))


def _parse(name: str, declared: object) -> Choices:
    if isinstance(declared, Choices):
        return declared
    if isinstance(declared, numbers.Real) and not isinstance(declared, bool):
        return _from_values(name, choice, [declared])
    if isinstance(declared, Mapping) and len(declared) == 1:
        ((form, values),) = declared.items()
        for cls in (choice, per_layer):
            if form == cls.form:
                return _from_values(name, cls, values)
    raise SpaceError(f"{name} takes choice(…), per_layer(…) or a number, got {declared!r}", declared)


def _from_values(name: str, cls: type[Choices], values: Any) -> Choices:
    if isinstance(values, Mapping):
        if set(values) != {"low", "high", "step"}:
            raise SpaceError(f"{name}: a range takes low, high and step, got {dict(values)!r}", values)
        return _with_name(name, lambda: cls.range(values["low"], values["high"], values["step"]), values)
    if isinstance(values, Sequence) and not isinstance(values, (str, bytes)):
        return _with_name(name, lambda: cls(*values), values)
    raise SpaceError(f"{name}: {cls.form} takes a list of values, got {values!r}", values)


def _with_name(name: str, make: Callable[[], Choices], values: object) -> Choices:
    try:
        return make()
    except SpaceError as error:
        raise SpaceError(f"{name}: {error}", values) from None
