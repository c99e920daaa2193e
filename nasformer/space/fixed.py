"""Fixed: the genes that conditional sampling conditions on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer.errors import SpaceError, did_you_mean
from nasformer.space.codec import Codec, Codes


@dataclass(frozen=True, slots=True)
class Fixed:
    """Masks of the allowed choices; a gene is fixed if one choice is allowed.

    Args:
        tables: Masks by dimension: ``(choices,)`` for network, ``(max depth, choices)`` for layer dimensions, where
            layers beyond an architecture's depth are ignored.
        description: The fixed genes, for messages.
    """

    tables: Mapping[str, NDArray[np.bool_]]
    description: str

    def matches(self, codec: Codec, codes: Codes) -> NDArray[np.bool_]:
        """Return the mask of codes that have the fixed genes, ``(n,)``."""
        layers, inside = np.arange(codec.max_depth), np.ones(len(codes), dtype=bool)
        for dimension in codec.dimensions:
            table, genes = self.tables[dimension.name], codec.genes(dimension.name, codes)
            if dimension.scope == "network":
                inside &= table[genes]
            else:
                inside &= np.where(genes >= 0, table[layers, genes], True).all(axis=1)
        return inside


def read_fixed(codec: Codec, fixed: Mapping[str, Any] | Codes | None) -> Fixed | None:
    """Parse fixed genes as in ``FeasibleSet.sample``.

    Raises:
        SpaceError: An unknown dimension, layer or value.
    """
    if fixed is None:
        return None
    if isinstance(fixed, Mapping):
        return _from_values(codec, fixed)
    return _from_code(codec, np.asarray(fixed))


def _from_values(codec: Codec, fixed: Mapping[str, Any]) -> Fixed:
    for key in fixed:
        if key not in codec.values:
            raise SpaceError(f"no gene {key!r} to fix; {did_you_mean(str(key), codec.values)}", fixed)
    tables = _all_allowed(codec)
    for dimension in codec.dimensions:
        key, given = dimension.name, fixed.get(dimension.name, {})
        if isinstance(given, Mapping) and dimension.scope == "layer":
            for layer, value in given.items():
                _fix_layer(codec, tables, key, _layer(codec, key, layer), _index(codec, key, value))
        elif key in fixed:
            tables[key] &= np.arange(len(dimension.values)) == _index(codec, key, given)
    return Fixed(tables, str(dict(fixed)))


def _from_code(codec: Codec, row: Codes) -> Fixed:
    if row.shape != (codec.columns,) or row.dtype.kind not in "iu":
        raise SpaceError(f"a code to fix is integers ({codec.columns},), got {row.dtype} {row.shape}", row)
    tables = _all_allowed(codec)
    for column, gene in enumerate(row.tolist()):
        dimension, layer = codec.column(column)
        size = len(dimension.values)
        if gene == -1:
            continue
        if not 0 <= gene < size:
            raise SpaceError(f"a code to fix has -1 or 0 to {size - 1} in column {column}, got {gene}", row)
        if layer is None:
            tables[dimension.name] &= np.arange(size) == gene
        else:
            _fix_layer(codec, tables, dimension.name, layer, gene)
    return Fixed(tables, str(row.tolist()))


def _all_allowed(codec: Codec) -> dict[str, NDArray[np.bool_]]:
    sizes = {
        d.name: (codec.max_depth, len(d.values)) if d.scope == "layer" else len(d.values) for d in codec.dimensions
    }
    return {name: np.ones(size, dtype=bool) for name, size in sizes.items()}


def _fix_layer(codec: Codec, tables: dict[str, NDArray[np.bool_]], key: str, layer: int, index: int) -> None:
    """Fix the gene of one layer, which excludes smaller depths."""
    tables["depth"] &= np.array(codec.depths) > layer
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
    choices = codec.values[key]
    if isinstance(value, (int, float, np.number)) and value in choices:
        return int(choices.index(value))
    raise SpaceError(f"{key} {value!r} cannot be fixed: it is not among {', '.join(map(str, choices))}", value)
