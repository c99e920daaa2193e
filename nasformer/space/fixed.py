"""Fixed: genes that a conditional draw leaves as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer.errors import SpaceError, did_you_mean
from nasformer.space.codec import Codec, Codes

_LAYER = ("num_heads", "mlp_ratio")
_KEYS = ("embed_dim", "depth", *_LAYER)


@dataclass(frozen=True, slots=True)
class Fixed:
    """The choices that are left open, by index; a gene is fixed where only one is.

    Args:
        embed_dim: ``(embed_dim choices,)``.
        depth: ``(depth choices,)``.
        num_heads: ``(max depth, heads choices)``; layers beyond an architecture's depth bind nothing.
        mlp_ratio: ``(max depth, ratio choices)``.
        words: What was fixed, for messages.
    """

    embed_dim: NDArray[np.bool_]
    depth: NDArray[np.bool_]
    num_heads: NDArray[np.bool_]
    mlp_ratio: NDArray[np.bool_]
    words: str

    def holds(self, codec: Codec, codes: Codes) -> NDArray[np.bool_]:
        """Return which rows of codes have what is fixed, ``(n,)``."""
        layers = np.arange(codec.max_depth)
        inside: NDArray[np.bool_] = self.embed_dim[codes[:, 0]] & self.depth[codes[:, 1]]
        for table, genes in ((self.num_heads, codec.heads_of(codes)), (self.mlp_ratio, codec.ratios_of(codes))):
            inside = inside & np.where(genes >= 0, table[layers, genes], True).all(axis=1)
        return inside


def read_fixed(codec: Codec, fixed: Mapping[str, Any] | Codes | None) -> Fixed | None:
    """Read fixed genes as ``FeasibleSet.sample`` takes them.

    Raises:
        SpaceError: A dimension, layer or value that the space does not have.
    """
    if fixed is None:
        return None
    if isinstance(fixed, Mapping):
        return _from_values(codec, fixed)
    return _from_code(codec, np.asarray(fixed))


def _from_values(codec: Codec, fixed: Mapping[str, Any]) -> Fixed:
    for key in fixed:
        if key not in _KEYS:
            raise SpaceError(f"no gene {key!r} to fix; {did_you_mean(str(key), _KEYS)}", fixed)
    tables = _open(codec)
    for key in ("embed_dim", "depth"):
        if key in fixed:
            tables[key] &= np.arange(len(tables[key])) == _index(codec, key, fixed[key])
    for key in _LAYER:
        given = fixed.get(key, {})
        if isinstance(given, Mapping):
            for layer, value in given.items():
                _fix_layer(codec, tables, key, _layer(codec, key, layer), _index(codec, key, value))
        else:
            tables[key] &= np.arange(tables[key].shape[1]) == _index(codec, key, given)
    return Fixed(**tables, words=str(dict(fixed)))


def _from_code(codec: Codec, row: Codes) -> Fixed:
    if row.shape != (codec.columns,) or row.dtype.kind not in "iu":
        raise SpaceError(f"a code to fix is integers ({codec.columns},), got {row.dtype} {row.shape}", row)
    tables = _open(codec)
    sizes = [len(codec.embed_dim), len(codec.depth)]
    sizes += [len(codec.num_heads)] * codec.max_depth + [len(codec.mlp_ratio)] * codec.max_depth
    for column, (gene, size) in enumerate(zip(row.tolist(), sizes, strict=True)):
        if gene == -1:
            continue
        if not 0 <= gene < size:
            raise SpaceError(f"a code to fix has -1 or 0 to {size - 1} in column {column}, got {gene}", row)
        if column < 2:
            tables["embed_dim" if column == 0 else "depth"] &= np.arange(size) == gene
        else:
            key = _LAYER[(column - 2) // codec.max_depth]
            _fix_layer(codec, tables, key, (column - 2) % codec.max_depth, gene)
    return Fixed(**tables, words=str(row.tolist()))


def _open(codec: Codec) -> dict[str, NDArray[np.bool_]]:
    tables = {key: np.ones(len(getattr(codec, key)), dtype=bool) for key in ("embed_dim", "depth")}
    return tables | {key: np.ones((codec.max_depth, len(getattr(codec, key))), dtype=bool) for key in _LAYER}


def _fix_layer(codec: Codec, tables: dict[str, NDArray[np.bool_]], key: str, layer: int, index: int) -> None:
    """Fix the gene of one layer, which then there must be."""
    tables["depth"] &= np.array(codec.depth) > layer
    tables[key][layer] &= np.arange(tables[key].shape[1]) == index


def _layer(codec: Codec, key: str, layer: object) -> int:
    try:
        at = int(layer)  # type: ignore[call-overload]
    except (TypeError, ValueError):
        at = -1
    if not 0 <= at < codec.max_depth:
        raise SpaceError(f"{key} is fixed by layer, 0 to {codec.max_depth - 1}, got layer {layer!r}", layer)
    return int(at)


def _index(codec: Codec, key: str, value: object) -> int:
    choices = getattr(codec, key)
    if isinstance(value, (int, float, np.number)) and value in choices:
        return int(choices.index(value))
    raise SpaceError(f"{key} {value!r} cannot be fixed: it is not among {', '.join(map(str, choices))}", value)
