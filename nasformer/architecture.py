"""Architecture: one vision transformer as one frozen value.

It holds what AutoFormer (Chen et al., ICCV 2021, section 3.2) searches: one embedding width for the
whole network, and per layer the number of heads and the MLP ratio. The depth is the number of
layers, so one network has exactly one ``Architecture``.
"""

from __future__ import annotations

import json
import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from nasformer.errors import ArchitectureError, did_you_mean

_KEYS = ("embed_dim", "depth", "num_heads", "mlp_ratio")


@dataclass(frozen=True, slots=True)
class Architecture:
    """A vision transformer's searched dimensions.

    Args:
        embed_dim: Width of the token embedding, the same in every layer.
        num_heads: Attention heads of each layer, first layer first.
        mlp_ratio: Width of each layer's MLP as a multiple of ``embed_dim``.

    Raises:
        ArchitectureError: A width below one, or lists of different or no length.

    >>> arch = Architecture(embed_dim=192, num_heads=(3, 3, 4), mlp_ratio=(3.5, 4, 4))
    >>> arch.depth
    3
    >>> print(arch)
    embed 192, depth 3, heads 3×2 4, mlp 3.5 4×2
    """

    embed_dim: int
    num_heads: tuple[int, ...]
    mlp_ratio: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "embed_dim", _positive_int("embed_dim", self.embed_dim))
        heads = tuple(_positive_int("num_heads", h) for h in _sequence("num_heads", self.num_heads))
        ratios = tuple(_positive_float("mlp_ratio", r) for r in _sequence("mlp_ratio", self.mlp_ratio))
        if not heads or len(heads) != len(ratios):
            raise ArchitectureError(
                f"num_heads and mlp_ratio need one entry per layer each, got {len(heads)} and {len(ratios)}",
                (heads, ratios),
            )
        for ratio in ratios:
            if int(self.embed_dim * ratio) < 1:
                raise ArchitectureError(
                    f"mlp_ratio {ratio} of embed_dim {self.embed_dim} leaves an MLP of no width", ratio
                )
        object.__setattr__(self, "num_heads", heads)
        object.__setattr__(self, "mlp_ratio", ratios)

    @property
    def depth(self) -> int:
        """Number of transformer layers."""
        return len(self.num_heads)

    @property
    def hidden_dims(self) -> tuple[int, ...]:
        """Width of each layer's MLP: ``int(embed_dim * mlp_ratio)``."""
        return tuple(int(self.embed_dim * ratio) for ratio in self.mlp_ratio)

    def __str__(self) -> str:
        return f"embed {self.embed_dim}, depth {self.depth}, heads {_runs(self.num_heads)}, mlp {_runs(self.mlp_ratio)}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers and lists, ready for JSON.

        >>> Architecture(64, (2, 4), (2, 3)).to_dict()
        {'embed_dim': 64, 'depth': 2, 'num_heads': [2, 4], 'mlp_ratio': [2.0, 3.0]}
        """
        return {
            "embed_dim": self.embed_dim,
            "depth": self.depth,
            "num_heads": list(self.num_heads),
            "mlp_ratio": list(self.mlp_ratio),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Architecture:
        """Read what ``to_dict`` wrote; ``depth`` may be left out, and is checked where given.

        Raises:
            ArchitectureError: A key is missing or unknown, or ``depth`` is not the number of layers.

        >>> Architecture.from_dict({"embed_dim": 64, "num_heads": [2, 4], "mlp_ratio": [2, 3]}).depth
        2
        """
        if not isinstance(data, Mapping):
            raise ArchitectureError(f"an architecture is a mapping of {', '.join(_KEYS)}, got {data!r}", data)
        for key in data:
            if key not in _KEYS:
                raise ArchitectureError(f"unknown dimension {key!r}; {did_you_mean(str(key), _KEYS)}", data)
        for key in ("embed_dim", "num_heads", "mlp_ratio"):
            if key not in data:
                raise ArchitectureError(f"the architecture {dict(data)!r} lacks {key!r}", data)
        architecture = cls(data["embed_dim"], data["num_heads"], data["mlp_ratio"])
        if "depth" in data and data["depth"] != architecture.depth:
            raise ArchitectureError(
                f"depth is {data['depth']!r} but num_heads lists {architecture.depth} layers; drop depth or mend it",
                data,
            )
        return architecture

    def to_json(self) -> str:
        """Return ``to_dict`` as one line of JSON."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> Architecture:
        """Read what ``to_json`` wrote.

        Raises:
            ArchitectureError: The text is no JSON, or no architecture.
        """
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:  # also an endless number, or brackets without end
            raise ArchitectureError(f"not JSON ({error}): {text[:60]!r}", text) from error
        return cls.from_dict(data)


def uniform(embed_dim: int, depth: int, num_heads: int, mlp_ratio: float) -> Architecture:
    """Return the architecture whose layers are all alike, as in ViT and DeiT.

    >>> print(uniform(192, 12, 3, 4))
    embed 192, depth 12, heads 3×12, mlp 4×12
    """
    return Architecture(embed_dim, (num_heads,) * depth, (mlp_ratio,) * depth)


def _runs(values: Iterable[float]) -> str:
    lengths = [(value, len(list(group))) for value, group in groupby(values)]
    return " ".join(f"{value:g}" if length == 1 else f"{value:g}×{length}" for value, length in lengths)


def _sequence(name: str, value: object) -> Iterable[Any]:
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable) or getattr(value, "ndim", 1) != 1:
        raise ArchitectureError(f"{name} lists one entry per layer, got {value!r}", value)
    return value


def _positive_int(name: str, value: object) -> int:
    if type(value) is int and value >= 1:  # nearly always; the rest is for NumPy's numbers and for mistakes
        return value
    if isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= 1:
        return int(value)
    number = _real(value)
    if number.is_integer() and number >= 1:
        return int(number)
    raise ArchitectureError(f"{name} must be a whole number of at least 1, got {value!r}", value)


def _positive_float(name: str, value: object) -> float:
    if type(value) is float and 0 < value < math.inf:
        return value
    number = _real(value)
    if 0 < number < math.inf:
        return number
    raise ArchitectureError(f"{name} must be a number above 0, got {value!r}", value)


def _real(value: object) -> float:
    if not isinstance(value, numbers.Real) or isinstance(value, bool):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf
