"""Scores: an additive score of architectures, a number for each choice of each dimension.

The score of an architecture is that of its embed_dim, plus that of its depth, plus for each layer those of
its heads, of its MLP ratio and of the two as a pair.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer.architecture import Architecture
from nasformer.errors import SpaceError
from nasformer.space.codec import Codec, Codes

_LAYER = ("num_heads", "mlp_ratio")
_KEYS = (*_LAYER, "pair")
Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores by choice index, for callers that have no use for names, such as a strategy's model.

    The three layer tables may have one more axis in front, of length ``embed_dim choices``: then each
    embedding width has layer scores of its own. A score may be minus infinity: what has
    such a choice comes last.

    Args:
        embed_dim: ``(embed_dim choices,)``.
        depth: ``(depth choices,)``.
        num_heads: ``(max depth, heads choices)``.
        mlp_ratio: ``(max depth, ratio choices)``.
        pair: ``(max depth, heads choices, ratio choices)``; None: no layer has a score as a pair.
    """

    embed_dim: Table
    depth: Table
    num_heads: Table
    mlp_ratio: Table
    pair: Table | None = None

    @classmethod
    def zeros(cls, codec: Codec) -> Scores:
        """Return scores of 0 of the shapes that a space takes, without pairs."""
        layers = {key: np.zeros((codec.max_depth, len(getattr(codec, key)))) for key in _LAYER}
        return cls(np.zeros(len(codec.embed_dim)), np.zeros(len(codec.depth)), **layers)

    def check(self, codec: Codec) -> Scores:
        """Return these scores as arrays of floats.

        Raises:
            SpaceError: A table is not of the space's shape, or holds infinity or what is no number.
        """
        sizes = {key: len(getattr(codec, key)) for key in ("embed_dim", "depth", *_LAYER)}
        layer = {key: (codec.max_depth, sizes[key]) for key in _LAYER}
        shapes = {"embed_dim": (sizes["embed_dim"],), "depth": (sizes["depth"],), **layer}
        shapes["pair"] = (*layer["num_heads"], sizes["mlp_ratio"])
        tables = {}
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is None and name == "pair":
                continue
            table = np.asarray(value, dtype=np.float64)
            if table.shape != shape and (name not in _KEYS or table.shape != (sizes["embed_dim"], *shape)):
                raise SpaceError(f"scores of {name} are an array {shape}, got {table.shape}", self)
            if not (table < np.inf).all():
                raise SpaceError(f"scores of {name} are numbers below infinity, got {table.max()}", self)
            tables[name] = table
        return Scores(**tables)

    def layers(self, embed: int) -> tuple[Table, Table, Table | None]:
        """Return the tables of heads, ratios and pairs under one choice of embed_dim."""
        heads, ratios, pair = self.num_heads, self.mlp_ratio, self.pair
        return (
            heads if heads.ndim == 2 else heads[embed],
            ratios if ratios.ndim == 2 else ratios[embed],
            pair if pair is None or pair.ndim == 3 else pair[embed],
        )

    def of(self, codec: Codec, codes: Codes) -> Table:
        """Return the score of each row of codes, ``(n,)``."""
        total: Table = self.embed_dim[codes[:, 0]] + self.depth[codes[:, 1]]
        layers = np.arange(codec.max_depth)
        for embed in np.unique(codes[:, 0]):
            rows = codes[:, 0] == embed
            h, r = codec.heads_of(codes[rows]), codec.ratios_of(codes[rows])
            heads, ratios, pair = self.layers(int(embed))
            score = heads[layers, h] + ratios[layers, r] + (0.0 if pair is None else pair[layers, h, r])
            total[rows] += np.where(h >= 0, score, 0.0).sum(axis=1)
        return total


def read_scores(codec: Codec, scores: Mapping[str, Any] | Scores) -> Scores:
    """Read scores by value, as ``FeasibleSet.argmax`` takes them, or check an array of each.

    Raises:
        SpaceError: A dimension, layer or value that the space does not have.
    """
    if isinstance(scores, Scores):
        return scores.check(codec)
    if not isinstance(scores, Mapping):
        raise SpaceError(f"scores are a mapping of embed_dim, depth and layers, got {scores!r}", scores)
    for key in scores:
        if key not in ("embed_dim", "depth", "layers"):
            raise SpaceError(f"scores know embed_dim, depth and layers, got {key!r}", scores)
    embed_dim = _by_index(codec, "embed_dim", scores.get("embed_dim", {}))
    tables = _read_layers(codec, scores.get("layers", []))
    return Scores(embed_dim, _by_index(codec, "depth", scores.get("depth", {})), **tables)


def _read_layers(codec: Codec, layers: object) -> dict[str, Table]:
    if not isinstance(layers, Sequence):
        raise SpaceError(f"scores of layers are a list, got {layers!r}", layers)
    if len(layers) > codec.max_depth:
        raise SpaceError(f"scores for {len(layers)} layers, but the deepest has {codec.max_depth}", layers)
    sizes = {key: (codec.max_depth, len(getattr(codec, key))) for key in _LAYER}
    tables = {key: np.zeros(size) for key, size in sizes.items()}
    for index, layer in enumerate(layers):
        if not isinstance(layer, Mapping):
            raise SpaceError(f"a layer's scores are a mapping of num_heads and mlp_ratio, got {layer!r}", layer)
        for key, values in layer.items():
            if key not in _KEYS:
                raise SpaceError(f"a layer's scores know num_heads, mlp_ratio and pair, got {key!r}", layer)
            if key == "pair":
                pair = tables.setdefault("pair", np.zeros((*sizes["num_heads"], len(codec.mlp_ratio))))
                pair[index] = _by_pair(codec, values)
            else:
                tables[key][index] = _by_index(codec, key, values)
    return tables


def _by_index(codec: Codec, key: str, values: Mapping[Any, float]) -> Table:
    if not isinstance(values, Mapping):
        raise SpaceError(f"scores of {key} are a mapping from value to score, got {values!r}", values)
    scores = np.zeros(len(getattr(codec, key)))
    for value, score in values.items():
        scores[_index(codec, key, value, values)] = _score(f"{key} {value!r}", score)
    return scores


def _by_pair(codec: Codec, values: Mapping[Any, float]) -> Table:
    """Read scores by ``(heads, ratio)``, or by ``"heads,ratio"`` as JSON can have it."""
    if not isinstance(values, Mapping):
        raise SpaceError(f"scores of pair are a mapping from 'heads,ratio' to score, got {values!r}", values)
    scores = np.zeros((len(codec.num_heads), len(codec.mlp_ratio)))
    for key, score in values.items():
        pair = key.split(",") if isinstance(key, str) else key
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise SpaceError(f"a pair is (heads, ratio) or 'heads,ratio', got {key!r}", values)
        at = tuple(_index(codec, name, value, values) for name, value in zip(_LAYER, pair, strict=True))
        scores[at] = _score(f"pair {key!r}", score)
    return scores


def _index(codec: Codec, key: str, value: object, offender: object) -> int:
    choices = getattr(codec, key)
    try:
        return int(choices.index(float(value)))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        known = ", ".join(map(str, choices))
        raise SpaceError(f"{key} {value!r} has a score but is not among {known}", offender) from None


def _score(of: str, score: object) -> float:
    if not isinstance(score, numbers.Real) or not score < np.inf:
        raise SpaceError(f"{of} has the score {score!r}; a score is a number below infinity", score)
    return float(score)


def distance_scores(codec: Codec, architecture: Architecture) -> Scores:
    """Return minus the distance to an architecture, a member or not, in steps between choices."""
    tables = {key: np.zeros((codec.max_depth, len(getattr(codec, key)))) for key in _LAYER}
    for key in _LAYER:
        for layer, value in enumerate(getattr(architecture, key)[: codec.max_depth]):
            tables[key][layer] = _steps_from(getattr(codec, key), value)
    embed_dim = _steps_from(codec.embed_dim, architecture.embed_dim)
    return Scores(embed_dim, _steps_from(codec.depth, architecture.depth), **tables)


def _steps_from(choices: tuple[float, ...], value: float) -> Table:
    positions = np.arange(len(choices), dtype=np.float64)
    return -np.abs(positions - np.interp(value, choices, positions))
