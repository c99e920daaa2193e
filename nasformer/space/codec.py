"""Codec: architectures as rows of integers, and the costs of a million rows at once.

A row is int64 choice indices: embed_dim, depth, num_heads of layers 0..D-1, mlp_ratio of layers
0..D-1, with -1 beyond the depth. Costs are sums of table entries; the entry at -1 is zero.
"""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from nasformer.architecture import Architecture
from nasformer.cost import AdditiveCost, FunctionCost, Geometry, in_units
from nasformer.errors import ArchitectureError, BudgetError
from nasformer.space.dimension import Dimension, choice

Codes = NDArray[np.int64]
"""Choice indices, ``(n, 2 + 2 * max depth)``; -1 beyond the depth."""


class Codec:
    """The translation between a space's architectures and their codes."""

    def __init__(
        self,
        space: str,
        geometry: Geometry,
        dimensions: Mapping[str, Dimension],
        costs: Mapping[str, AdditiveCost | FunctionCost],
    ) -> None:
        self.space, self.geometry, self.costs = space, geometry, costs
        embed_dim, depth, heads, ratio = (dimensions[key] for key in ("embed_dim", "depth", "num_heads", "mlp_ratio"))
        self.embed_dim = tuple(int(value) for value in embed_dim)
        self.depth = tuple(int(value) for value in depth)
        self.num_heads = tuple(int(value) for value in heads)
        self.mlp_ratio = tuple(float(value) for value in ratio)
        self.tied = {"num_heads": isinstance(heads, choice), "mlp_ratio": isinstance(ratio, choice)}
        self._index = {
            key: {value: index for index, value in enumerate(getattr(self, key))}
            for key in ("embed_dim", "depth", "num_heads", "mlp_ratio")
        }
        self._layer_cost = lru_cache(maxsize=65536)(self._layer)
        self._stem_cost = lru_cache(maxsize=4096)(self._stem)
        self._recent = lru_cache(maxsize=16384)(self._from_bytes)
        self._asked_cost = lru_cache(maxsize=65536)(self._ask)
        self.stems = lru_cache(maxsize=None)(self._stems)
        self.layers = lru_cache(maxsize=None)(self._layers)

    @property
    def max_depth(self) -> int:
        """Layers of the deepest member."""
        return self.depth[-1]

    @property
    def columns(self) -> int:
        """Length of a row of codes."""
        return 2 + 2 * self.max_depth

    def heads_of(self, codes: Codes) -> Codes:
        """Return the columns of heads, ``(n, max depth)``, a view."""
        return codes[:, 2 : 2 + self.max_depth]

    def ratios_of(self, codes: Codes) -> Codes:
        """Return the columns of MLP ratios, ``(n, max depth)``, a view."""
        return codes[:, 2 + self.max_depth :]

    def why_not(self, architecture: Architecture) -> str | None:
        """Return why an architecture is no member of the space, or None where it is."""
        for key, value in (("embed_dim", architecture.embed_dim), ("depth", architecture.depth)):
            if value not in self._index[key]:
                return f"{key} {value} is not among {_listed(getattr(self, key))}"
        for key in ("num_heads", "mlp_ratio"):
            values = getattr(architecture, key)
            for layer, value in enumerate(values):
                if value not in self._index[key]:
                    return f"{key} {value:g} of layer {layer} is not among {_listed(getattr(self, key))}"
            if self.tied[key] and len(set(values)) > 1:
                return f"{key} is one for all layers, got {_listed(values)}"
        return None

    def encode(self, architectures: Iterable[Architecture]) -> Codes:
        """Return the codes of members, one row each."""
        rows = [self._encode(architecture) for architecture in architectures]
        return np.array(rows, dtype=np.int64).reshape(len(rows), self.columns)

    def _encode(self, architecture: Architecture) -> list[int]:
        reason = self.why_not(architecture)
        if reason is not None:
            raise ArchitectureError(f"not in space {self.space!r}: {reason}", architecture)
        index, beyond = self._index, [-1] * (self.max_depth - architecture.depth)
        heads = [index["num_heads"][value] for value in architecture.num_heads]
        ratios = [index["mlp_ratio"][value] for value in architecture.mlp_ratio]
        head = [index["embed_dim"][architecture.embed_dim], index["depth"][architecture.depth]]
        return head + heads + beyond + ratios + beyond

    def decode(self, codes: Codes) -> list[Architecture]:
        """Return the architectures of rows of codes."""
        return [self._decode(row) for row in self.check(codes).tolist()]

    def recent(self, row: Codes) -> Architecture:
        """Return the architecture of a row ``(columns,)`` that was made here, and so need not be checked.

        A search comes back to the same few thousand, which are remembered.
        """
        return self._recent(row.tobytes())

    def _from_bytes(self, row: bytes) -> Architecture:
        return self._decode(np.frombuffer(row, dtype=np.int64).tolist())

    def check(self, codes: Codes) -> Codes:
        """Return rows that are all codes of this space.

        Raises:
            ArchitectureError: They are not.
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
        depth = self.depth[row[1]]
        heads, ratios = row[2 : 2 + depth], row[2 + self.max_depth : 2 + self.max_depth + depth]
        return Architecture(
            self.embed_dim[row[0]],
            tuple(self.num_heads[index] for index in heads),
            tuple(self.mlp_ratio[index] for index in ratios),
        )

    def _check_rows(self, codes: Codes) -> None:
        valid = (codes[:, 0] >= 0) & (codes[:, 0] < len(self.embed_dim))
        valid &= (codes[:, 1] >= 0) & (codes[:, 1] < len(self.depth))
        depth = np.array(self.depth)[np.where(valid, codes[:, 1], 0)]
        active = np.arange(self.max_depth) < depth[:, None]
        for genes, key in ((self.heads_of(codes), "num_heads"), (self.ratios_of(codes), "mlp_ratio")):
            inside = (genes >= 0) & (genes < len(getattr(self, key)))
            valid &= np.where(active, inside, genes == -1).all(axis=1)
            if self.tied[key]:
                valid &= (~active | (genes == genes[:, :1])).all(axis=1)
        if not valid.all():
            row = int(np.flatnonzero(~valid)[0])
            raise ArchitectureError(f"row {row} is no code of space {self.space!r}: {codes[row].tolist()}", codes[row])

    # Costs

    def cost(self, name: str, architecture: Architecture) -> float:
        """Return one cost of any architecture, in the unit of its name."""
        cost = self.costs[name]
        if isinstance(cost, FunctionCost):
            return self._asked_cost(name, architecture)
        return in_units(self.count(name, architecture), cost.scale)

    def count(self, name: str, architecture: Architecture) -> int:
        """Return one additive cost of any architecture as it is counted."""
        embed_dim, layer = architecture.embed_dim, self._layer_cost
        total = self._stem_cost(name, embed_dim)
        for heads, ratio in zip(architecture.num_heads, architecture.mlp_ratio, strict=True):
            total += layer(name, embed_dim, heads, ratio)
        return total

    def _additive(self, name: str) -> AdditiveCost:
        cost = self.costs[name]
        assert isinstance(cost, AdditiveCost), name
        return cost

    def _stem(self, name: str, embed_dim: int) -> int:
        return _whole(name, self._additive(name).stem(self.geometry, embed_dim))

    def _layer(self, name: str, embed_dim: int, num_heads: int, mlp_ratio: float) -> int:
        return _whole(name, self._additive(name).layer(self.geometry, embed_dim, num_heads, int(embed_dim * mlp_ratio)))

    def _ask(self, name: str, architecture: Architecture) -> float:
        cost = self.costs[name]
        assert isinstance(cost, FunctionCost), name
        return cost(architecture)

    def cost_batch(self, name: str, codes: Codes) -> NDArray[np.int64] | NDArray[np.float64]:
        """Return one cost of each row of codes, ``(n,)``, in the unit of its name.

        Raises:
            ArchitectureError: A row is no code of this space.
        """
        cost = self.costs[name]
        if isinstance(cost, FunctionCost):
            return np.array([self._asked_cost(name, a) for a in self.decode(codes)], dtype=np.float64)
        counts = self.count_batch(name, self.check(codes))
        return counts if cost.scale == 1 else counts / cost.scale

    def count_batch(self, name: str, codes: Codes) -> NDArray[np.int64]:
        """Return one additive cost of each row of valid codes as it is counted, ``(n,)``."""
        layers, embed = self.layers(name), codes[:, 0]
        _, heads, ratios = layers.shape
        padded = np.pad(layers, ((0, 0), (1, 0), (1, 0)))  # in front, where -1 points: beyond the depth costs nothing
        start = embed * ((heads + 1) * (ratios + 1)) + ratios + 2
        index = self.heads_of(codes) * (ratios + 1) + self.ratios_of(codes) + start[:, None]
        total: NDArray[np.int64] = self.stems(name)[embed] + padded.reshape(-1).take(index).sum(axis=1)
        return total

    def _stems(self, name: str) -> NDArray[np.int64]:
        """Stem counts ``(embed_dim,)``."""
        return np.array([self._stem(name, e) for e in self.embed_dim], dtype=np.int64)

    def _layers(self, name: str) -> NDArray[np.int64]:
        """Layer counts ``(embed_dim, num_heads, mlp_ratio)``."""
        return np.array(
            [[[self._layer(name, e, h, r) for r in self.mlp_ratio] for h in self.num_heads] for e in self.embed_dim],
            dtype=np.int64,
        )


def _whole(name: str, count: object) -> int:
    if isinstance(count, numbers.Integral) and abs(int(count)) < 10**18:
        return int(count)
    raise BudgetError(f"cost {name!r} must count in whole numbers, got {count!r}; give it a finer scale", count)


def _listed(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
