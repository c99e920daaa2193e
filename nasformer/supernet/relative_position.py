"""Relative positions on a grid of patches, without materialising e[n, m].

AutoFormer (section 3.3, after Wu et al., ICCV 2021 and Shaw et al., 2018) adds to key m, for query n, the embedding
e[n, m] = vertical[r' - r] + horizontal[c' - c], and likewise to the values, with offsets clipped at ``max_distance``
and a separate row if n or m is the cls token. Since e is separable into a row and a column term,

    q.e[n, m]            = (q.vertical)[r' - r] + (q.horizontal)[c' - c],
    sum_m a[n, m] e[n, m] = sum_r' rows[n, r'] vertical[r' - r] + sum_c' columns[n, c'] horizontal[c' - c],

where rows and columns are marginals of the attention. One attention over slightly wider heads computes both: append
the key's one-hot row and column to k and v, and the two small products to q. The softmax is invariant to terms equal
for all keys, so the cls row is subtracted from the vertical term and needs no column. Patches of a series have one
axis: e[n, m] = table[t' - t].
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from nasformer.errors import ArchitectureError

_MOST_ENTRIES = 10**8
"""Entries of the largest table of a grid, some 60 x 60 patches."""
MULTIPLE = 8
"""Head widths are padded to a multiple of this for fast attention kernels."""


class PatchGrid(nn.Module):
    """Constant index tables of one patch grid, shared by all layers.

    Args:
        grid: Patches along one side.
        max_distance: Clipping distance of offsets.
        head_dim: Width of a head before widening.
        axes: 2 for the rows and columns of images, 1 for series.

    Raises:
        ArchitectureError: The grid is too large for such tables.
    """

    selection: Tensor  # (offsets, axes * table_rows): maps the tables to the offsets of this grid
    offset: Tensor  # (tokens, 1, extra): offset index of each extra column, per query
    one_hot: Tensor  # (tokens, 1, 1, extra): place of each key on each axis
    ones: Tensor  # (offsets,): 1 at the cls term, common to all queries
    spread: Tensor  # (tokens, extra, offsets): one-hot ``offset``; for exports
    gathering: Tensor  # its transpose

    def __init__(self, grid: int, max_distance: int, head_dim: int, axes: int = 2) -> None:
        super().__init__()
        offsets = axes * (2 * grid - 1)
        self.head_dim = head_dim
        self.extra = _round_up(head_dim + axes * grid) - head_dim
        if (entries := (grid**axes + 1) * self.extra * _round_up(offsets + 2)) > _MOST_ENTRIES:
            raise ArchitectureError(
                f"relative positions of {grid**axes:,} patches take tables of {entries:,} entries, "
                f"{_MOST_ENTRIES:,} at most; take a larger patch_size, or max_distance: null",
                grid,
            )
        tables = {
            "selection": _selection(grid, max_distance, axes),
            "offset": _offset(grid, self.extra, axes),
            "one_hot": _one_hot(grid, self.extra, axes),
            "ones": torch.zeros(_round_up(offsets + 2)).index_fill(0, torch.tensor([offsets]), 1.0),
        }
        spread = torch.zeros(*tables["offset"][:, 0].shape, len(tables["ones"]))
        spread.scatter_(-1, tables["offset"][:, 0, :, None], 1.0)
        tables |= {"spread": spread, "gathering": spread.transpose(1, 2).contiguous()}
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def forward(self, tables: Tensor) -> Tensor:
        """Map a layer's tables ``(2, axes, table_rows, head_dim)`` to ``(2, offsets, head_dim)``: keys, values."""
        return torch.matmul(self.selection, tables.flatten(1, 2))

    def widen(self, qkv: Tensor, key_offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Append q.e to q, and the key's one-hot position to k and v.

        Args:
            qkv: ``(batch, tokens, heads, 3, head_dim)``.
            key_offsets: ``(offsets, head_dim)``.

        Returns:
            q, k and v, ``(batch, tokens, heads, head_dim + extra)`` each.
        """
        if torch.compiler.is_exporting():
            return self._widened_for_export(qkv, key_offsets)
        wide: tuple[Tensor, Tensor, Tensor] = _Widen.apply(qkv, key_offsets, self.offset, self.one_hot)
        return wide

    def narrow(self, out: Tensor, value_offsets: Tensor) -> Tensor:
        """Add the values' position term: ``(batch, tokens, heads, head_dim + extra)`` -> ``(rows, head_dim)``."""
        if torch.compiler.is_exporting():
            return self._narrowed_for_export(out, value_offsets)
        narrow: Tensor = _Narrow.apply(out, value_offsets, self.offset, self.ones)
        return narrow

    def _widened_for_export(self, qkv: Tensor, key_offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``widen`` by products and concatenations only, which are fast in other runtimes."""
        q, k, v = qkv.unbind(3)
        extra = torch.matmul(torch.matmul(q, key_offsets.transpose(0, 1)), self.gathering.to(qkv.dtype))
        place = self.one_hot[:, :, 0].to(qkv.dtype).expand(*q.shape[:-1], -1)
        return torch.cat((q, extra), dim=-1), torch.cat((k, place), dim=-1), torch.cat((v, place), dim=-1)

    def _narrowed_for_export(self, out: Tensor, value_offsets: Tensor) -> Tensor:
        plain, marginals = out[..., : self.head_dim], out[..., self.head_dim :]
        weights = torch.matmul(marginals, self.spread.to(out.dtype)) + self.ones.to(out.dtype)
        narrow: Tensor = plain + torch.matmul(weights, value_offsets)
        return narrow.reshape(-1, self.head_dim)


class _Widen(torch.autograd.Function):
    """Saves for the backward pass only the widened q, which attention saves anyway, not qkv."""

    @staticmethod
    def forward(
        ctx: Any, qkv: Tensor, key_offsets: Tensor, offset: Tensor, one_hot: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        *rows, _, head_dim = qkv.shape  # rows: batch, tokens, heads
        wide = qkv.new_empty(*rows, 3, head_dim + offset.shape[-1])
        wide[..., :head_dim] = qkv
        wide[..., 1:, head_dim:] = one_hot
        products = torch.matmul(qkv[..., 0, :], key_offsets.transpose(0, 1))  # (*rows, offsets)
        wide[..., 0, head_dim:] = products.gather(-1, offset.expand(*rows, -1))
        q, k, v = wide.unbind(3)
        ctx.save_for_backward(q, key_offsets, offset)
        return q, k, v

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dq: Tensor, dk: Tensor, dv: Tensor) -> tuple[Tensor | None, ...]:
        q, key_offsets, offset = ctx.saved_tensors
        (*rows, _), (offsets, head_dim) = q.shape, key_offsets.shape
        d_products = q.new_zeros(*rows, offsets)
        d_products.scatter_add_(-1, offset.expand(*rows, -1), dq[..., head_dim:])
        d_products = d_products.view(-1, offsets)
        dqkv = torch.stack([d[..., :head_dim] for d in (dq, dk, dv)], dim=3)
        dqkv[..., 0, :] += torch.mm(d_products, key_offsets).view(*rows, head_dim)
        return dqkv, torch.mm(d_products.transpose(0, 1), q[..., :head_dim].reshape(-1, head_dim)), None, None


class _Narrow(torch.autograd.Function):
    """Saves for the backward pass only attention's output, saved anyway, and recomputes the weights."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, value_offsets: Tensor, offset: Tensor, ones: Tensor) -> Tensor:
        ctx.save_for_backward(out, value_offsets, offset, ones)
        head_dim = value_offsets.shape[-1]
        plain = out[..., :head_dim].reshape(-1, head_dim)
        return torch.addmm(plain, _weights(out[..., head_dim:], offset, ones), value_offsets)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_narrow: Tensor) -> tuple[Tensor | None, ...]:
        out, value_offsets, offset, ones = ctx.saved_tensors
        (*rows, _), (offsets, head_dim) = out.shape, value_offsets.shape
        d_weights = torch.mm(d_narrow, value_offsets.transpose(0, 1)).view(*rows, offsets)
        d_marginals = d_weights.gather(-1, offset.expand(*rows, -1))
        d_out = torch.cat((d_narrow.view(*rows, head_dim), d_marginals), dim=-1)
        weights = _weights(out[..., head_dim:], offset, ones)
        return d_out, torch.mm(weights.transpose(0, 1), d_narrow), None, None


def _weights(marginals: Tensor, offset: Tensor, ones: Tensor) -> Tensor:
    """Scatter the marginals ``(*rows, extra)`` to their offsets, ``(rows, offsets)``."""
    rows = marginals.shape[:-1]
    weights = ones.to(marginals.dtype).expand(*rows, -1).scatter(-1, offset.expand(*rows, -1), marginals)
    return weights.view(-1, ones.shape[0])


def _round_up(width: int) -> int:
    return -(-width // MULTIPLE) * MULTIPLE


def _selection(grid: int, max_distance: int, axes: int) -> Tensor:
    """Rows: the offsets of each axis, minus the cls term on the first one; the cls term; zero padding."""
    span, table_rows = 2 * grid - 1, 2 * max_distance + 2
    offsets = torch.arange(span) - (grid - 1)
    row = offsets.clamp(-max_distance, max_distance) + max_distance + 1
    selection = torch.zeros(_round_up(axes * span + 2), axes * table_rows)
    each = torch.arange(span)
    for axis in range(axes):
        selection[axis * span + each, axis * table_rows + row] = 1.0
    selection[:span, ::table_rows] = -1.0
    selection[axes * span, ::table_rows] = 1.0
    return selection


def _offset(grid: int, extra: int, axes: int) -> Tensor:
    """For the patch at (r, c): r' - r for each row r', c' - c for each column c'; else the index of a zero."""
    span = 2 * grid - 1
    index = torch.full((grid**axes + 1, 1, extra), axes * span + 1)
    each = torch.arange(grid)
    for axis, place in enumerate(_places(grid, axes)):
        index[1:, 0, axis * grid : (axis + 1) * grid] = each - place[:, None] + axis * span + grid - 1
    return index


def _one_hot(grid: int, extra: int, axes: int) -> Tensor:
    one_hot = torch.zeros(grid**axes + 1, 1, 1, extra)
    patch = torch.arange(grid**axes) + 1
    for axis, place in enumerate(_places(grid, axes)):
        one_hot[patch, 0, 0, axis * grid + place] = 1.0
    return one_hot


def _places(grid: int, axes: int) -> list[Tensor]:
    """Return the place of each patch on each axis: rows and columns, or time."""
    patch = torch.arange(grid**axes)
    return [patch // grid ** (axes - 1 - axis) % grid for axis in range(axes)]
