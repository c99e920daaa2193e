"""Relative position on a grid of patches, without ever building e[n, m].

AutoFormer (section 3.3, after Wu et al., ICCV 2021 and Shaw et al., 2018) adds to key m, seen from
query n, the embedding e[n, m] = vertical[r' - r] + horizontal[c' - c], and likewise to the values,
offsets clipped at ``max_distance`` and a row of its own where n or m is the cls token. As e is a row
part plus a column part,

    q.e[n, m]            = (q.vertical)[r' - r] + (q.horizontal)[c' - c],
    sum_m a[n, m] e[n, m] = sum_r' rows[n, r'] vertical[r' - r] + sum_c' columns[n, c'] horizontal[c' - c],

where rows and columns are the attention's marginals. With the key's row and column appended to k and
to v as one-hot columns, and the two small products appended to q, one attention over slightly wider
heads computes all of it. Terms that are equal for all keys leave a softmax unchanged, so the cls row
is subtracted from the vertical part and needs no column.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MULTIPLE = 8
"""Head widths are padded to a multiple of this, as fast attention kernels ask."""


class PatchGrid(nn.Module):
    """The constant tables of one grid of patches, shared by all layers.

    Args:
        grid: Patches along one side.
        max_distance: Offset beyond which positions are clipped.
        head_dim: Width of a head before it is widened.
    """

    selection: Tensor  # (offsets, 2 * table_rows): from the two tables to the offsets of this grid
    offset: Tensor  # (tokens, 1, extra): which offset each extra column holds, seen from each query
    one_hot: Tensor  # (tokens, 1, 1, extra): the row and the column of each key
    ones: Tensor  # (offsets,): 1 at the cls term, which every query gets

    def __init__(self, grid: int, max_distance: int, head_dim: int) -> None:
        super().__init__()
        span = 2 * grid - 1
        self.head_dim = head_dim
        self.extra = _round_up(head_dim + 2 * grid) - head_dim
        tables = {
            "selection": _selection(grid, max_distance),
            "offset": _offset(grid, self.extra),
            "one_hot": _one_hot(grid, self.extra),
            "ones": torch.zeros(_round_up(2 * span + 2)).index_fill(0, torch.tensor([2 * span]), 1.0),
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def forward(self, tables: Tensor) -> Tensor:
        """Map a layer's tables ``(2, 2, table_rows, head_dim)`` to ``(2, offsets, head_dim)``: keys, values."""
        return torch.matmul(self.selection, tables.flatten(1, 2))

    def widen_query(self, q: Tensor, key_offsets: Tensor) -> Tensor:
        """Append q.e to q: ``(batch, tokens, heads, head_dim)`` -> ``(..., head_dim + extra)``."""
        batch, tokens, heads, _ = q.shape
        products = torch.matmul(q, key_offsets.transpose(0, 1))  # (batch, tokens, heads, offsets)
        return torch.cat((q, products.gather(-1, self.offset.expand(batch, tokens, heads, -1))), dim=-1)

    def widen_key_value(self, kv: Tensor) -> Tensor:
        """Append the key's place: ``(batch, tokens, heads, 2, head_dim)`` -> ``(..., head_dim + extra)``."""
        return torch.cat((kv, self.one_hot.to(kv.dtype).expand(*kv.shape[:-1], -1)), dim=-1)

    def narrow(self, out: Tensor, value_offsets: Tensor) -> Tensor:
        """Add the values' positions: ``(batch, tokens, heads, head_dim + extra)`` -> ``(rows, head_dim)``."""
        batch, tokens, heads, _ = out.shape
        plain, marginals = torch.split(out, [self.head_dim, self.extra], dim=-1)
        index = self.offset.expand(batch, tokens, heads, -1)
        weights = self.ones.to(out.dtype).expand(batch, tokens, heads, -1).scatter(-1, index, marginals)
        return torch.addmm(
            plain.reshape(-1, self.head_dim), weights.view(-1, weights.shape[-1]), value_offsets.to(out.dtype)
        )


def _round_up(width: int) -> int:
    return -(-width // MULTIPLE) * MULTIPLE


def _selection(grid: int, max_distance: int) -> Tensor:
    """Rows: vertical offsets less the cls term, horizontal offsets, the cls term, and zeros."""
    span, table_rows = 2 * grid - 1, 2 * max_distance + 2
    offsets = torch.arange(span) - (grid - 1)
    row = offsets.clamp(-max_distance, max_distance) + max_distance + 1
    selection = torch.zeros(_round_up(2 * span + 2), 2 * table_rows)
    each = torch.arange(span)
    selection[each, row] = 1.0
    selection[span + each, table_rows + row] = 1.0
    selection[:span, [0, table_rows]] = -1.0
    selection[2 * span, [0, table_rows]] = 1.0
    return selection


def _offset(grid: int, extra: int) -> Tensor:
    """Seen from the patch at (r, c): r' - r for each row r', c' - c for each column c'; else a zero."""
    span = 2 * grid - 1
    index = torch.full((grid * grid + 1, 1, extra), 2 * span + 1)
    row, column = _places(grid)
    each = torch.arange(grid)
    index[1:, 0, :grid] = each - row[:, None] + grid - 1
    index[1:, 0, grid : 2 * grid] = each - column[:, None] + span + grid - 1
    return index


def _one_hot(grid: int, extra: int) -> Tensor:
    row, column = _places(grid)
    one_hot = torch.zeros(grid * grid + 1, 1, 1, extra)
    patch = torch.arange(grid * grid) + 1
    one_hot[patch, 0, 0, row] = 1.0
    one_hot[patch, 0, 0, grid + column] = 1.0
    return one_hot


def _places(grid: int) -> tuple[Tensor, Tensor]:
    patch = torch.arange(grid * grid)
    return patch // grid, patch % grid
