"""Scores: an additive score of architectures, one number for each choice of each dimension."""

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


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores by choice index.

    Args:
        embed_dim: ``(embed_dim choices,)``.
        depth: ``(depth choices,)``.
        num_heads: ``(max depth, heads choices)``.
        mlp_ratio: ``(max depth, ratio choices)``.
    """

    embed_dim: NDArray[np.float64]
    depth: NDArray[np.float64]
    num_heads: NDArray[np.float64]
    mlp_ratio: NDArray[np.float64]

    def of(self, codec: Codec, codes: Codes) -> NDArray[np.float64]:
        """Return the score of each row of codes, ``(n,)``."""
        layers = np.arange(codec.max_depth)
        total: NDArray[np.float64] = self.embed_dim[codes[:, 0]] + self.depth[codes[:, 1]]
        for table, genes in ((self.num_heads, codec.heads_of(codes)), (self.mlp_ratio, codec.ratios_of(codes))):
            total = total + np.where(genes >= 0, table[layers, genes], 0.0).sum(axis=1)
        return total


def read_scores(codec: Codec, scores: Mapping[str, Any]) -> Scores:
    """Read scores by value, as ``FeasibleSet.argmax`` takes them.

    Raises:
        SpaceError: A dimension, layer or value that the space does not have.
    """
    if not isinstance(scores, Mapping):
        raise SpaceError(f"scores are a mapping of embed_dim, depth and layers, got {scores!r}", scores)
    for key in scores:
        if key not in ("embed_dim", "depth", "layers"):
            raise SpaceError(f"scores know embed_dim, depth and layers, got {key!r}", scores)
    layers = scores.get("layers", [])
    if not isinstance(layers, Sequence):
        raise SpaceError(f"scores of layers are a list, got {layers!r}", scores)
    if len(layers) > codec.max_depth:
        raise SpaceError(f"scores for {len(layers)} layers, but the deepest has {codec.max_depth}", scores)
    tables = {key: np.zeros((codec.max_depth, len(getattr(codec, key)))) for key in _LAYER}
    for index, layer in enumerate(layers):
        if not isinstance(layer, Mapping):
            raise SpaceError(f"a layer's scores are a mapping of num_heads and mlp_ratio, got {layer!r}", layer)
        for key, values in layer.items():
            if key not in _LAYER:
                raise SpaceError(f"a layer's scores know num_heads and mlp_ratio, got {key!r}", layer)
            tables[key][index] = _by_index(codec, key, values)
    embed_dim = _by_index(codec, "embed_dim", scores.get("embed_dim", {}))
    return Scores(embed_dim, _by_index(codec, "depth", scores.get("depth", {})), **tables)


def distance_scores(codec: Codec, architecture: Architecture) -> Scores:
    """Return minus the distance to an architecture, a member or not, in steps between choices."""
    tables = {key: np.zeros((codec.max_depth, len(getattr(codec, key)))) for key in _LAYER}
    for key in _LAYER:
        for layer, value in enumerate(getattr(architecture, key)[: codec.max_depth]):
            tables[key][layer] = _steps_from(getattr(codec, key), value)
    embed_dim = _steps_from(codec.embed_dim, architecture.embed_dim)
    return Scores(embed_dim, _steps_from(codec.depth, architecture.depth), **tables)


def _steps_from(choices: tuple[float, ...], value: float) -> NDArray[np.float64]:
    positions = np.arange(len(choices), dtype=np.float64)
    return -np.abs(positions - np.interp(value, choices, positions))


def _by_index(codec: Codec, key: str, values: Mapping[Any, float]) -> NDArray[np.float64]:
    if not isinstance(values, Mapping):
        raise SpaceError(f"scores of {key} are a mapping from value to score, got {values!r}", values)
    choices = getattr(codec, key)
    scores = np.zeros(len(choices))
    for value, score in values.items():
        if _number(value) not in choices:
            raise SpaceError(f"{key} {value!r} has a score but is not among {', '.join(map(str, choices))}", values)
        if not isinstance(score, numbers.Real) or not score < np.inf:
            raise SpaceError(f"{key} {value!r} has the score {score!r}; a score is a number below infinity", values)
        scores[choices.index(_number(value))] = score
    return scores


def _number(key: object) -> float:
    try:
        return float(key)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return np.nan
