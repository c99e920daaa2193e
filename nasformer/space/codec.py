"""Codec: architectures encoded as rows of integers, and vectorised costs of codes.

A row holds int64 choice indices: one column per network dimension and one per layer of a layer dimension, in the
order of the space's dimensions (embed_dim, depth, num_heads of layers 0..D-1, mlp_ratio of layers 0..D-1, then
further ones); -1 pads beyond the depth. Costs are sums of table entries; the entry at -1 is zero.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer.architecture import Architecture, Further, Layer
from nasformer.cost import AdditiveCost, FunctionCost, Geometry, Network, in_units
from nasformer.dimension import Dimension
from nasformer.errors import ArchitectureError, BudgetError

Codes = NDArray[np.int64]
"""Choice indices, ``(n, columns)``; -1 beyond the depth."""

_Key = int | tuple[int, Further, tuple[str, ...]]
"""Cache key of layer costs: embed_dim, or embed_dim with the choices of further network dimensions and the names of
further layer dimensions."""


class Codec:
    """Encodes and decodes the architectures of a space.

    Attributes:
        dimensions: All dimensions, in column order.
        network: Network dimensions, without the depth.
        layer: Layer dimensions.
        values: Values by dimension.
        depths: Values of the depth.
    """

    def __init__(
        self,
        space: str,
        geometry: Geometry,
        dimensions: Sequence[Dimension],
        costs: Mapping[str, AdditiveCost | FunctionCost],
    ) -> None:
        self.space, self.geometry, self.costs = space, geometry, costs
        self.dimensions = tuple(dimensions)
        self.network = tuple(d for d in self.dimensions if d.scope == "network" and d.name != "depth")
        self.layer = tuple(d for d in self.dimensions if d.scope == "layer")
        self.values: dict[str, tuple[Any, ...]] = {d.name: d.values for d in self.dimensions}
        self.depths: tuple[int, ...] = self.values["depth"]
        self._index = {name: {v: i for i, v in enumerate(values)} for name, values in self.values.items()}
        self._is_layer = {d.name: d.scope == "layer" for d in self.dimensions}
        self._slices, self.columns = self._column_slices()
        self._layer_cost = lru_cache(maxsize=65536)(self._layer)
        self._stem_cost = lru_cache(maxsize=4096)(self._stem)
        self._decode_bytes = lru_cache(maxsize=16384)(self._from_bytes)
        self._function_cost = lru_cache(maxsize=65536)(self._call_function)
        self.stems = lru_cache(maxsize=None)(self._stems)
        self.layers = lru_cache(maxsize=None)(self._layers)
        self._padded = lru_cache(maxsize=None)(self._pad)

    def _column_slices(self) -> tuple[dict[str, slice], int]:
        slices, start = {}, 0
        for dimension in self.dimensions:
            stop = start + (self.max_depth if dimension.scope == "layer" else 1)
            slices[dimension.name], start = slice(start, stop), stop
        return slices, start

    @property
    def max_depth(self) -> int:
        """The largest depth."""
        return self.depths[-1]

    def genes(self, name: str, codes: Codes) -> Codes:
        """Return a dimension's columns as a view: ``(n,)`` for network, ``(n, max depth)`` for layer dimensions."""
        place = self._slices[name]
        return codes[:, place] if self._is_layer[name] else codes[:, place.start]

    def column(self, index: int) -> tuple[Dimension, int | None]:
        """Return the dimension of a column, and the layer if it is a layer dimension."""
        for dimension in self.dimensions:
            place = self._slices[dimension.name]
            if place.start <= index < place.stop:
                return dimension, index - place.start if dimension.scope == "layer" else None
        raise IndexError(index)

    def why_not(self, architecture: Architecture) -> str | None:
        """Return the reason why an architecture is not a member, or None if it is."""
        for name, _ in architecture.further:
            if name not in self.values:
                return f"{name} is not searched there; leave it out"
        for dimension in self.dimensions:
            name, index = dimension.name, self._index[dimension.name]
            value = getattr(architecture, name, None)
            if value is None:
                return f"it lacks {name}, one of {_listed(dimension.values)}"
            for layer, each in enumerate(value) if dimension.scope == "layer" else [(None, value)]:
                if each not in index:
                    where = "" if layer is None else f" of layer {layer}"
                    return f"{name} {each:g}{where} is not among {_listed(dimension.values)}"
            if dimension.scope == "layer" and dimension.tied and len(set(value)) > 1:
                return f"{name} is one for all layers, got {_listed(value)}"
        return None

    def encode(self, architectures: Iterable[Architecture]) -> Codes:
        """Encode members, one row each."""
        rows = [self._encode(architecture) for architecture in architectures]
        return np.array(rows, dtype=np.int64).reshape(len(rows), self.columns)

    def _encode(self, architecture: Architecture) -> list[int]:
        reason = self.why_not(architecture)
        if reason is not None:
            raise ArchitectureError(f"not in space {self.space!r}: {reason}", architecture)
        row: list[int] = []
        padding = [-1] * (self.max_depth - architecture.depth)
        for dimension in self.dimensions:
            value, index = getattr(architecture, dimension.name), self._index[dimension.name]
            row += [index[each] for each in value] + padding if dimension.scope == "layer" else [index[value]]
        return row

    def decode(self, codes: Codes) -> list[Architecture]:
        """Decode rows of codes."""
        return [self._decode(row) for row in self.check(codes).tolist()]

    def decode_cached(self, row: Codes) -> Architecture:
        """Decode a valid row ``(columns,)`` through an LRU cache: searches revisit the same few thousand."""
        return self._decode_bytes(row.tobytes())

    def _from_bytes(self, row: bytes) -> Architecture:
        return self._decode(np.frombuffer(row, dtype=np.int64).tolist())

    def check(self, codes: Codes) -> Codes:
        """Validate codes of this space and return them.

        Raises:
            ArchitectureError: The shape, the type or a row is invalid.
        """
        codes = np.asarray(codes)
        if codes.ndim != 2 or codes.shape[1] != self.columns or codes.dtype.kind not in "iu":
            raise ArchitectureError(
                f"codes of space {self.space!r} are integers (n, {self.columns}), got {codes.dtype} {codes.shape}",
                codes,
            )
        self._check_rows(codes)
        return codes

    def _decode(self, row: list[int]) -> Architecture:
        depth, choices = self.depths[row[self._slices["depth"].start]], dict[str, Any]()
        for name, place in self._slices.items():
            values = self.values[name]
            if self._is_layer[name]:
                choices[name] = tuple([values[index] for index in row[place.start : place.start + depth]])
            elif name != "depth":
                choices[name] = values[row[place.start]]
        return Architecture(**choices)

    def _check_rows(self, codes: Codes) -> None:
        valid = np.ones(len(codes), dtype=bool)
        for name in (d.name for d in self.dimensions if d.scope == "network"):
            genes = self.genes(name, codes)
            valid &= (genes >= 0) & (genes < len(self.values[name]))
        depth = np.array(self.depths)[np.where(valid, self.genes("depth", codes), 0)]
        active = np.arange(self.max_depth) < depth[:, None]
        for dimension in self.layer:
            genes = self.genes(dimension.name, codes)
            inside = (genes >= 0) & (genes < len(dimension.values))
            valid &= np.where(active, inside, genes == -1).all(axis=1)
            if dimension.tied:
                valid &= (~active | (genes == genes[:, :1])).all(axis=1)
        if not valid.all():
            row = int(np.flatnonzero(~valid)[0])
            raise ArchitectureError(
                f"row {row} is not a code of space {self.space!r}: {codes[row].tolist()}", codes[row]
            )

    # Costs

    def cost(self, name: str, architecture: Architecture) -> float:
        """Return a cost of any architecture, in the cost's unit."""
        cost = self.costs[name]
        if isinstance(cost, FunctionCost):
            return self._function_cost(name, architecture)
        return in_units(self.count(name, architecture), cost.scale)

    def count(self, name: str, architecture: Architecture) -> int:
        """Return an additive cost of any architecture as a count."""
        if architecture.further:
            return self._count_further(name, architecture)
        embed_dim, layer = architecture.embed_dim, self._layer_cost
        total = self._stem_cost(name, embed_dim)
        for heads, ratio in zip(architecture.num_heads, architecture.mlp_ratio, strict=True):
            total += layer(name, embed_dim, heads, ratio)
        return total

    def _count_further(self, name: str, architecture: Architecture) -> int:
        columns = {own: value for own, value in architecture.further if isinstance(value, tuple)}
        key = architecture.embed_dim, architecture.network, tuple(columns)
        layers = zip(architecture.num_heads, architecture.mlp_ratio, *columns.values(), strict=True)
        return self._stem_cost(name, key) + sum(self._layer_cost(name, key, *choices) for choices in layers)

    def _additive(self, name: str) -> AdditiveCost:
        cost = self.costs[name]
        assert isinstance(cost, AdditiveCost), name
        return cost

    def _network(self, key: _Key) -> Network:
        embed_dim, network = (key, ()) if isinstance(key, int) else key[:2]
        return Network.of(self.geometry, Architecture(embed_dim, (0,), (0,), **dict(network)))

    def _stem(self, name: str, key: _Key) -> int:
        return _integer_count(name, self._additive(name).stem_count(self._network(key)))

    def _layer(self, name: str, key: _Key, num_heads: int, mlp_ratio: float, *further: Any) -> int:
        network, names = self._network(key), () if isinstance(key, int) else key[2]
        hidden_dim = int(network.embed_dim * mlp_ratio)
        layer = Layer(num_heads, hidden_dim, mlp_ratio, tuple(zip(names, further, strict=True)))
        return _integer_count(name, self._additive(name).layer_count(network, layer))

    def _call_function(self, name: str, architecture: Architecture) -> float:
        cost = self.costs[name]
        assert isinstance(cost, FunctionCost), name
        return cost(architecture)

    def cost_batch(self, name: str, codes: Codes) -> NDArray[np.int64] | NDArray[np.float64]:
        """Return a cost of each row of codes, ``(n,)``, in the cost's unit.

        Raises:
            ArchitectureError: A row is not a code of this space.
        """
        cost = self.costs[name]
        if isinstance(cost, FunctionCost):
            return np.array([self._function_cost(name, a) for a in self.decode(codes)], dtype=np.float64)
        counts = self.count_batch(name, self.check(codes))
        return counts if cost.scale == 1 else counts / cost.scale

    def count_batch(self, name: str, codes: Codes) -> NDArray[np.int64]:
        """Return an additive cost of each row of valid codes as a count, ``(n,)``."""
        padded, strides = self._padded(name)
        network = tuple(self.genes(dimension.name, codes) for dimension in self.network)
        front = sum(strides[d.name] for d in self.layer)  # index -1 selects the zero padding
        start = sum((strides[d.name] * own for d, own in zip(self.network, network, strict=True)), np.array([front]))
        first, *others = self.layer
        index = self.genes(first.name, codes) * strides[first.name] + start[:, None]
        for dimension in others:
            index += self.genes(dimension.name, codes) * strides[dimension.name]
        total: NDArray[np.int64] = self.stems(name)[network] + padded.take(index).sum(axis=1)
        return total

    def _pad(self, name: str) -> tuple[NDArray[np.int64], dict[str, int]]:
        """Return the flat layer counts, zero-padded in front of layer dimensions, and their strides by dimension."""
        layers = self.layers(name)
        padded = np.pad(layers, [(0, 0)] * len(self.network) + [(1, 0)] * len(self.layer))
        strides = (stride // padded.itemsize for stride in padded.strides)
        return padded.reshape(-1), {d.name: s for d, s in zip((*self.network, *self.layer), strides, strict=True)}

    def _stems(self, name: str) -> NDArray[np.int64]:
        """Return stem counts ``(choices of each network dimension)``."""
        counts = [self._stem(name, key) for key in self._keys()]
        return np.array(counts, dtype=np.int64).reshape([len(d.values) for d in self.network])

    def _layers(self, name: str) -> NDArray[np.int64]:
        """Return layer counts ``(choices of each network dimension, choices of each layer dimension)``."""
        options: list[tuple[Any, ...]] = list(product(*(dimension.values for dimension in self.layer)))
        counts = [self._layer(name, key, *choices) for key in self._keys() for choices in options]
        return np.array(counts, dtype=np.int64).reshape([len(d.values) for d in (*self.network, *self.layer)])

    def _keys(self) -> list[_Key]:
        """Return the cache keys of the network choices, in the order of ``stems``."""
        names = [dimension.name for dimension in self.network]
        layer = tuple(dimension.name for dimension in self.layer if dimension.name not in ("num_heads", "mlp_ratio"))
        combinations = product(*(dimension.values for dimension in self.network))
        chosen = (dict(zip(names, values, strict=True)) for values in combinations)
        return [(int(own.pop("embed_dim")), tuple(sorted(own.items())), layer) for own in chosen]


def _integer_count(name: str, count: object) -> int:
    if isinstance(count, numbers.Integral) and abs(int(count)) < 10**18:
        return int(count)
    raise BudgetError(f"cost {name!r} must be a whole number of counts, got {count!r}; give it a finer scale", count)


def _listed(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
