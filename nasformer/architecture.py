"""Architecture: the searched dimensions of one vision transformer, as a frozen value.

AutoFormer's dimensions (Chen et al., ICCV 2021, section 3.2): the embedding dimension of the network, and per
layer the number of heads and the MLP ratio; 0 skips that branch. Further dimensions are named. The depth is
the number of layers, so each network has exactly one ``Architecture``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from nasformer._html import html_table
from nasformer._io import to_json
from nasformer._parse import parse_json
from nasformer.dimension import BASIC, kind_names, kind_of
from nasformer.errors import ArchitectureError, SpaceError, did_you_mean, shown

_KEYS = tuple(kind.name for kind in BASIC)
_MOST = 2**63 - 1
Further = tuple[tuple[str, Any], ...]
"""Choices of further dimensions, sorted by name."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The choices of one layer; further dimensions are attributes too.

    Attributes:
        num_heads: Attention heads; 0: no attention.
        hidden_dim: Width of the MLP; 0: no MLP.
        mlp_ratio: ``hidden_dim`` as a multiple of ``embed_dim``.
        further: Choices of further layer dimensions.
    """

    num_heads: int
    hidden_dim: int
    mlp_ratio: float = field(compare=False)
    further: Further = ()

    def __getattr__(self, name: str) -> Any:
        return further_choice(self, name)


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Architecture:
    """A vision transformer's searched dimensions.

    Args:
        embed_dim: Width of the token embedding, the same in every layer.
        num_heads: Attention heads of each layer, first layer first; 0: no attention.
        mlp_ratio: Width of each layer's MLP as a multiple of ``embed_dim``; 0: no MLP.
        **further: Further dimensions by name: a number, or one per layer. Each is an attribute too.

    Raises:
        ArchitectureError: An invalid value, empty lists or lists of different lengths, or an unknown dimension.

    >>> arch = Architecture(embed_dim=192, num_heads=(3, 3, 4), mlp_ratio=(3.5, 4, 4))
    >>> arch.depth
    3
    >>> print(arch)
    embed 192, depth 3, heads 3×2 4, mlp 3.5 4×2
    >>> Architecture(64, (2, 0), (2, 4), patch_size=4).patch_size
    4
    """

    embed_dim: int
    num_heads: tuple[int, ...]
    mlp_ratio: tuple[float, ...]
    further: Further

    def __init__(self, embed_dim: int, num_heads: Iterable[int], mlp_ratio: Iterable[float], **further: Any) -> None:
        width = _integer("embed_dim", embed_dim, 1)
        heads = tuple(_integer("num_heads", h, 0) for h in _sequence("num_heads", num_heads))
        ratios = tuple(_ratio(r) for r in _sequence("mlp_ratio", mlp_ratio))
        if not heads or len(heads) != len(ratios):
            raise ArchitectureError(
                f"num_heads and mlp_ratio need one entry per layer each, got {len(heads)} and {len(ratios)}",
                (heads, ratios),
            )
        if (largest := max(width, *heads, *ratios)) > _MOST:
            raise ArchitectureError(f"a size of an architecture is {_MOST:,} at most, got {shown(largest)}", largest)
        for ratio in ratios:
            if ratio and int(width * ratio) < 1:
                raise ArchitectureError(f"mlp_ratio {ratio} of embed_dim {width} leaves an MLP of width 0", ratio)
        object.__setattr__(self, "embed_dim", width)
        object.__setattr__(self, "num_heads", heads)
        object.__setattr__(self, "mlp_ratio", ratios)
        object.__setattr__(self, "further", _validated_all(further, len(heads)) if further else ())

    def __getattr__(self, name: str) -> Any:
        return further_choice(self, name)

    def __repr__(self) -> str:
        sizes = f"embed_dim={self.embed_dim!r}, num_heads={self.num_heads!r}, mlp_ratio={self.mlp_ratio!r}"
        return f"Architecture({sizes}{''.join(f', {name}={value!r}' for name, value in self.further)})"

    def _repr_html_(self) -> str:
        return html_table("Architecture", {"embed_dim": self.embed_dim, **dict(self.network), **self._by_layer()})

    def _by_layer(self) -> dict[str, tuple[Any, ...]]:
        further = {name: value for name, value in self.further if isinstance(value, tuple)}
        numbers = tuple(range(1, self.depth + 1))
        return {"layer": numbers, "num_heads": self.num_heads, "mlp_ratio": self.mlp_ratio, **further}

    @property
    def depth(self) -> int:
        """Number of transformer layers."""
        return len(self.num_heads)

    @property
    def hidden_dims(self) -> tuple[int, ...]:
        """Width of each layer's MLP: ``int(embed_dim * mlp_ratio)``."""
        return tuple(int(self.embed_dim * ratio) for ratio in self.mlp_ratio)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Each layer's choices, first layer first."""
        names = [name for name, value in self.further if isinstance(value, tuple)]
        columns = zip(*(getattr(self, name) for name in names), strict=True) if names else ((),) * self.depth
        sizes = zip(self.num_heads, self.hidden_dims, self.mlp_ratio, columns, strict=True)
        return tuple(Layer(h, f, r, tuple(zip(names, values, strict=True))) for h, f, r, values in sizes)

    @property
    def network(self) -> Further:
        """The choices of further network dimensions."""
        return tuple((name, value) for name, value in self.further if not isinstance(value, tuple))

    def __str__(self) -> str:
        sizes = (
            f"embed {self.embed_dim}, depth {self.depth}, heads {_runs(self.num_heads)}, mlp {_runs(self.mlp_ratio)}"
        )
        more = (f", {name} {_runs(value if isinstance(value, tuple) else [value])}" for name, value in self.further)
        return sizes + "".join(more)

    def replace(self, **changed: Any) -> Architecture:
        """Return this architecture with other values of some dimensions.

        >>> Architecture(64, (2, 4), (2, 3)).replace(num_heads=(0, 4)).num_heads
        (0, 4)
        """
        own = {"embed_dim": self.embed_dim, "num_heads": self.num_heads, "mlp_ratio": self.mlp_ratio}
        return Architecture(**{**own, **dict(self.further), **changed})

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-compatible numbers and lists.

        >>> Architecture(64, (2, 4), (2, 3)).to_dict()
        {'embed_dim': 64, 'depth': 2, 'num_heads': [2, 4], 'mlp_ratio': [2.0, 3.0]}
        """
        return {
            "embed_dim": self.embed_dim,
            "depth": self.depth,
            "num_heads": list(self.num_heads),
            "mlp_ratio": list(self.mlp_ratio),
            **{name: list(value) if isinstance(value, tuple) else value for name, value in self.further},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Architecture:
        """Inverse of ``to_dict``; ``depth`` is optional, and checked if given.

        Raises:
            ArchitectureError: A key is missing or unknown, or ``depth`` is not the number of layers.

        >>> Architecture.from_dict({"embed_dim": 64, "num_heads": [2, 4], "mlp_ratio": [2, 3]}).depth
        2
        """
        if not isinstance(data, Mapping):
            raise ArchitectureError(f"an architecture is a mapping of {', '.join(_KEYS)}, got {shown(data)}", data)
        for key in data:
            if key not in _KEYS and key not in kind_names():
                raise ArchitectureError(f"unknown dimension {key!r}; {did_you_mean(str(key), kind_names())}", data)
        for key in ("embed_dim", "num_heads", "mlp_ratio"):
            if key not in data:
                raise ArchitectureError(f"the architecture {shown(dict(data))} lacks {key!r}", data)
        architecture = cls(**{key: value for key, value in data.items() if key != "depth"})
        if "depth" in data and data["depth"] != architecture.depth:
            raise ArchitectureError(
                f"depth is {data['depth']!r} but num_heads lists {architecture.depth} layers; remove or correct depth",
                data,
            )
        return architecture

    def to_json(self) -> str:
        """Return ``to_dict`` as one line of JSON."""
        return to_json(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Inverse of ``to_json``.

        Raises:
            ArchitectureError: The text is not JSON, or not an architecture.
        """
        try:
            data = parse_json(text, finite=False)
        except ValueError as error:
            raise ArchitectureError(f"not JSON ({error}): {text[:60]!r}", text) from error
        return cls.from_dict(data)


def uniform(embed_dim: int, depth: int, num_heads: int, mlp_ratio: float, **further: float) -> Architecture:
    """Return the architecture of identical layers, as in ViT and DeiT.

    >>> print(uniform(192, 12, 3, 4))
    embed 192, depth 12, heads 3×12, mlp 4×12
    """
    each = {name: (value,) * depth if kind_of(name).scope == "layer" else value for name, value in further.items()}
    return Architecture(embed_dim, (num_heads,) * depth, (mlp_ratio,) * depth, **each)


def further_choice(owner: Any, name: str) -> Any:
    """Return the choice of a further dimension, for ``__getattr__``."""
    if not name.startswith("_") and name != "further":
        for own, value in owner.further:
            if own == name:
                return value
    raise AttributeError(f"{type(owner).__name__} has no {name!r}")


def _validated_all(further: dict[str, Any], depth: int) -> Further:
    """Validate the values of further dimensions."""
    passed = further.pop("further", ())  # by dataclasses.replace
    if not isinstance(passed, tuple):
        raise ArchitectureError(f"further dimensions are keywords of their own, got further={passed!r}", passed)
    named = {**dict(passed), **further}
    return tuple((name, _validated(name, named[name], depth)) for name in sorted(named))


def _validated(name: str, value: object, depth: int) -> Any:
    """Validate the value of a further dimension."""
    if name in _KEYS:
        raise ArchitectureError("depth is the number of layers: change num_heads and mlp_ratio", value)
    try:
        kind = kind_of(name)
        if kind.scope == "network":
            return kind.number(value)
        values = tuple(kind.number(each) for each in _sequence(name, value))
    except SpaceError as error:
        raise ArchitectureError(str(error), value) from None
    if len(values) != depth:
        raise ArchitectureError(f"{name} needs one entry per layer, got {len(values)} for {depth} layers", value)
    return values


def _runs(values: Iterable[float]) -> str:
    lengths = [(value, len(list(group))) for value, group in groupby(values)]
    return " ".join(f"{value:g}" if length == 1 else f"{value:g}×{length}" for value, length in lengths)


def _sequence(name: str, value: object) -> Iterable[Any]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) != 1:
        raise ArchitectureError(f"{name} lists one entry per layer, got {shown(value)}", value)
    return value


def _integer(name: str, value: object, least: int) -> int:
    if type(value) is int and value >= least:  # fast path; below: NumPy numbers and errors
        return value
    if isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= least:
        return int(value)
    number = _real(value)
    if number.is_integer() and number >= least:
        return int(number)
    raise ArchitectureError(f"{name} must be a whole number of at least {least}, got {value!r}", value)


def _ratio(value: object) -> float:
    if type(value) is float and 0 <= value < math.inf:
        return value
    number = _real(value)
    if 0 <= number < math.inf:
        return number
    raise ArchitectureError(f"mlp_ratio must be a number of 0 or more, got {value!r}", value)


def _real(value: object) -> float:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf
