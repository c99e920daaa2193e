"""Scores: an additive score of architectures, one table per dimension.

The score is the sum over the network dimensions, plus for each layer the sum over the layer dimensions and an
optional pair score of heads and MLP ratio.
"""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer.architecture import Architecture
from nasformer.dimension import BASIC
from nasformer.errors import SpaceError
from nasformer.space.codec import Codec, Codes

PAIR = ("num_heads", "mlp_ratio")
"""The layer dimensions that may be scored jointly."""
_FORMER_TABLES = (*(kind.name for kind in BASIC), "pair")
Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True, init=False)
class Scores:
    """Scores by choice index, such as a strategy's model produces.

    Layer tables may have a leading axis of length ``embed_dim choices``: layer scores per embedding dimension.
    A score may be minus infinity, which ranks its choice last.

    Args:
        tables: By dimension: ``(choices,)`` for network, ``(max depth, choices)`` for layer dimensions; default: 0.
        pair: Pair scores ``(max depth, heads choices, ratio choices)``; None: none.
    """

    tables: Mapping[str, Table]
    pair: Table | None = None

    def __init__(self, tables: Any, *old: Table, pair: Table | None = None, **named: Table) -> None:
        if old or named or not isinstance(tables, Mapping):  # positional tables, as in version 0.1
            warnings.warn(
                "Scores takes tables by dimension: Scores({'embed_dim': …})", DeprecationWarning, stacklevel=2
            )
            tables = {**dict(zip(_FORMER_TABLES, (tables, *old), strict=False)), **named}
            pair = tables.pop("pair", pair)
        object.__setattr__(self, "tables", tables)
        object.__setattr__(self, "pair", pair)

    @classmethod
    def zeros(cls, codec: Codec) -> Scores:
        """Return zero scores in a space's shapes, without pairs."""
        return cls({name: np.zeros(shape) for name, shape in _shapes(codec).items()})

    def check(self, codec: Codec) -> Scores:
        """Return these scores as float arrays of all dimensions.

        Raises:
            SpaceError: A table has the wrong shape, or holds infinity or NaN.
        """
        shapes = _shapes(codec)
        for name in self.tables:
            if name not in shapes:
                raise SpaceError(f"scores know {', '.join(shapes)}, got {name!r}", self)
        tables = {}
        for name, shape in shapes.items():
            known = name in self.tables
            tables[name] = self._table(codec, name, self.tables[name], shape) if known else np.zeros(shape)
        shape = (codec.max_depth, *(len(codec.values[name]) for name in PAIR))
        return Scores(tables, pair=None if self.pair is None else self._table(codec, "pair", self.pair, shape))

    def _table(self, codec: Codec, name: str, value: object, shape: tuple[int, ...]) -> Table:
        table = np.asarray(value, dtype=np.float64)
        per_embed_dim = (len(codec.values["embed_dim"]), *shape)
        if table.shape != shape and (len(shape) == 1 or table.shape != per_embed_dim):
            raise SpaceError(f"scores of {name} are an array {shape}, got {table.shape}", self)
        if not (table < np.inf).all():
            raise SpaceError(f"scores of {name} are numbers below infinity, got {table.max()}", self)
        return table

    def layer(self, name: str, embed: int) -> Table:
        """Return the table of a layer dimension at one choice of embed_dim, ``(max depth, choices)``."""
        table = self.tables[name]
        return table if table.ndim == 2 else table[embed]

    def pairs(self, embed: int) -> Table | None:
        """Return the pair table at one choice of embed_dim, ``(max depth, heads choices, ratio choices)``."""
        return self.pair if self.pair is None or self.pair.ndim == 3 else self.pair[embed]

    def evaluate(self, codec: Codec, codes: Codes) -> Table:
        """Return the scores of codes, ``(n,)``."""
        network = [d.name for d in codec.dimensions if d.scope == "network"]
        total = np.asarray(sum(self.tables[name][codec.genes(name, codes)] for name in network), dtype=np.float64)
        layers, embeds = np.arange(codec.max_depth), codec.genes("embed_dim", codes)
        for embed in np.unique(embeds):
            rows = np.flatnonzero(embeds == embed)
            genes = {dimension.name: codec.genes(dimension.name, codes[rows]) for dimension in codec.layer}
            score = np.asarray(sum(self.layer(name, int(embed))[layers, own] for name, own in genes.items()))
            pair = self.pairs(int(embed))
            if pair is not None:
                score = score + pair[layers, genes[PAIR[0]], genes[PAIR[1]]]
            total[rows] += np.where(genes[PAIR[0]] >= 0, score, 0.0).sum(axis=1)
        return total


def _shapes(codec: Codec) -> dict[str, tuple[int, ...]]:
    front = {"network": (), "layer": (codec.max_depth,)}
    return {d.name: (*front[d.scope], len(d.values)) for d in codec.dimensions}


def read_scores(codec: Codec, scores: Mapping[str, Any] | Scores) -> Scores:
    """Parse scores by value as in ``FeasibleSet.argmax``, or check a ``Scores``.

    Raises:
        SpaceError: An unknown dimension, layer or value.
    """
    if isinstance(scores, Scores):
        return scores.check(codec)
    network = [dimension.name for dimension in codec.dimensions if dimension.scope == "network"]
    known = " and ".join([", ".join(network), "layers"])
    if not isinstance(scores, Mapping):
        raise SpaceError(f"scores are a mapping of {known}, got {scores!r}", scores)
    for key in scores:
        if key not in (*network, "layers"):
            raise SpaceError(f"scores know {known}, got {key!r}", scores)
    tables = {name: _by_index(codec, name, scores.get(name, {})) for name in network}
    return _read_layers(codec, tables, scores.get("layers", []))


def _read_layers(codec: Codec, network: dict[str, Table], layers: object) -> Scores:
    if not isinstance(layers, Sequence):
        raise SpaceError(f"scores of layers are a list, got {layers!r}", layers)
    if len(layers) > codec.max_depth:
        raise SpaceError(f"scores for {len(layers)} layers, but the deepest has {codec.max_depth}", layers)
    names, sizes, pair = [d.name for d in codec.layer], [len(codec.values[name]) for name in PAIR], None
    known = " and ".join([", ".join(names), "pair"])
    tables = network | {name: np.zeros((codec.max_depth, len(codec.values[name]))) for name in names}
    for index, layer in enumerate(layers):
        if not isinstance(layer, Mapping):
            raise SpaceError(f"a layer's scores are a mapping of {', '.join(names)}, got {layer!r}", layer)
        for key, values in layer.items():
            if key not in (*names, "pair"):
                raise SpaceError(f"a layer's scores know {known}, got {key!r}", layer)
            if key == "pair":
                pair = np.zeros((codec.max_depth, *sizes)) if pair is None else pair
                pair[index] = _by_pair(codec, values)
            else:
                tables[key][index] = _by_index(codec, key, values)
    return Scores(tables, pair=pair)


def _by_index(codec: Codec, key: str, values: Mapping[Any, float]) -> Table:
    if not isinstance(values, Mapping):
        raise SpaceError(f"scores of {key} are a mapping from value to score, got {values!r}", values)
    scores = np.zeros(len(codec.values[key]))
    for value, score in values.items():
        scores[_index(codec, key, value, values)] = _score(f"{key} {value!r}", score)
    return scores


def _by_pair(codec: Codec, values: Mapping[Any, float]) -> Table:
    """Parse scores by ``(heads, ratio)``, or by ``"heads,ratio"`` as in JSON."""
    if not isinstance(values, Mapping):
        raise SpaceError(f"scores of pair are a mapping from 'heads,ratio' to score, got {values!r}", values)
    scores = np.zeros([len(codec.values[name]) for name in PAIR])
    for key, score in values.items():
        pair = key.split(",") if isinstance(key, str) else key
        if not isinstance(pair, (list, tuple)) or len(pair) != 2:
            raise SpaceError(f"a pair is (heads, ratio) or 'heads,ratio', got {key!r}", values)
        at = tuple(_index(codec, name, value, values) for name, value in zip(PAIR, pair, strict=True))
        scores[at] = _score(f"pair {key!r}", score)
    return scores


def _index(codec: Codec, key: str, value: object, given: object) -> int:
    choices = codec.values[key]
    try:
        return int(choices.index(float(value)))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        known = ", ".join(map(str, choices))
        raise SpaceError(f"{key} {value!r} has a score but is not among {known}", given) from None


def _score(name: str, score: object) -> float:
    if not isinstance(score, numbers.Real) or not score < np.inf:
        raise SpaceError(f"{name} has the score {score!r}; a score is a number below infinity", score)
    return float(score)


def distance_scores(codec: Codec, architecture: Architecture) -> Scores:
    """Return scores that sum to minus the distance to an architecture, member or not, in steps between choices."""
    tables = dict(Scores.zeros(codec).tables)
    for dimension in codec.dimensions:
        value = getattr(architecture, dimension.name, None)
        if dimension.scope == "layer":
            for layer, each in enumerate((value or ())[: codec.max_depth]):
                tables[dimension.name][layer] = _steps_from(dimension.values, each)
        elif value is not None:
            tables[dimension.name] = _steps_from(dimension.values, value)
    return Scores(tables)


def _steps_from(choices: tuple[float, ...], value: float) -> Table:
    positions = np.arange(len(choices), dtype=np.float64)
    return -np.abs(positions - np.interp(value, choices, positions))
