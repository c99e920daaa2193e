"""Codec: architectures as rows of integers, and the costs of a million rows at once.

A row is int64 choice indices: embed_dim, depth, num_heads of layers 0..D-1, mlp_ratio of layers
0..D-1, with -1 beyond the depth. Costs are sums of table entries; the entry at -1 is zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from nasformer.architecture import Architecture
from nasformer.cost import COSTS, Geometry
from nasformer.errors import ArchitectureError
from nasformer.space.dimension import Dimension, choice

Codes = NDArray[np.int64]
"""Choice indices, ``(n, 2 + 2 * max depth)``; -1 beyond the depth."""


class Codec:
    """The translation between a space's architectures and their codes."""

    def __init__(
        self, space: str, geometry: Geometry, embed_dim: Dimension, depth: Dimension, heads: Dimension, ratio: Dimension
    ) -> None:
        self.space, self.geometry = space, geometry
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
        codes = np.asarray(codes)
        if codes.ndim != 2 or codes.shape[1] != self.columns or codes.dtype.kind not in "iu":
            raise ArchitectureError(
                f"codes of space {self.space!r} are integers (n, {self.columns}), got {codes.dtype} {codes.shape}",
                codes,
            )
        self._check_rows(codes)
        return [self._decode(row) for row in codes.tolist()]

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

    def cost(self, name: str, architecture: Architecture) -> int:
        """Return one cost of any architecture."""
        embed_dim, layer = architecture.embed_dim, self._layer_cost
        total = self._stem_cost(name, embed_dim)
        for heads, ratio in zip(architecture.num_heads, architecture.mlp_ratio, strict=True):
            total += layer(name, embed_dim, heads, ratio)
        return total

    def _stem(self, name: str, embed_dim: int) -> int:
        return COSTS[name].stem(self.geometry, embed_dim)

    def _layer(self, name: str, embed_dim: int, num_heads: int, mlp_ratio: float) -> int:
        return COSTS[name].layer(self.geometry, embed_dim, num_heads, int(embed_dim * mlp_ratio))

    def cost_batch(self, name: str, codes: Codes) -> NDArray[np.int64]:
        """Return one cost of each row of codes, ``(n,)``."""
        stems, layers = self.stem_table[name], self.layer_table[name]
        embed = codes[:, 0]
        padded = np.pad(layers, ((0, 0), (0, 1), (0, 1)))  # index -1, beyond the depth, costs nothing
        flat, stride = padded.reshape(-1), padded.shape[2]
        heads = self.heads_of(codes) % padded.shape[1]
        ratios = self.ratios_of(codes) % stride
        index = (embed * padded[0].size)[:, None] + heads * stride + ratios
        total: NDArray[np.int64] = stems[embed] + flat[index].sum(axis=1)
        return total

    @cached_property
    def stem_table(self) -> dict[str, NDArray[np.int64]]:
        """Stem costs by name, ``(embed_dim,)``."""
        return {name: np.array([self._stem(name, e) for e in self.embed_dim], dtype=np.int64) for name in COSTS}

    @cached_property
    def layer_table(self) -> dict[str, NDArray[np.int64]]:
        """Layer costs by name, ``(embed_dim, num_heads, mlp_ratio)``."""
        return {
            name: np.array(
                [
                    [[self._layer(name, e, h, r) for r in self.mlp_ratio] for h in self.num_heads]
                    for e in self.embed_dim
                ],
                dtype=np.int64,
            )
            for name in COSTS
        }


def _listed(values: Iterable[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
