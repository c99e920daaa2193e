"""Sliced multi-head self-attention with AutoFormer's relative positions.

Rows of the qkv weight are ordered (head, q|k|v, head_dim), so that fewer heads are leading rows: one matrix product
on a view yields q, k and v, which reach the attention kernel without a copy.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasformer.architecture import Layer
from nasformer.cost.variant import PLAIN, Variant
from nasformer.supernet.layers import NORMS, SlicedLinear
from nasformer.supernet.relative_position import PatchGrid

QkvBias = Literal["leading", "interleaved"]
"""Slice of the qkv bias that fewer heads use.

"leading": the first 3 * width entries, viewed as (q|k|v, head, head_dim) at that width, as in AutoFormer's code;
"interleaved": the entries of the weight's rows, as in PreNAS.
"""


class SlicedAttention(nn.Module):
    """Self-attention that runs on its leading heads and inputs.

    Args:
        embed_dim: Maximal number of inputs and outputs.
        num_heads: Maximal number of heads.
        head_dim: Width of one head.
        position_rows: Rows of a relative position table; 0: none.
        qkv_bias: Slice of the qkv bias that fewer heads use.
        axes: Axes of the patches, with a relative position table each.
        variant: Norms of queries and keys, and of the heads' outputs.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        head_dim: int,
        *,
        position_rows: int,
        qkv_bias: QkvBias = "leading",
        axes: int = 2,
        variant: Variant = PLAIN,
    ) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.qkv_bias = qkv_bias
        self.qkv = SlicedLinear(embed_dim, 3 * num_heads * head_dim)
        self.proj = SlicedLinear(num_heads * head_dim, embed_dim)
        norm = NORMS[variant.norm]
        self.q_norm, self.k_norm = (norm(head_dim) if variant.qk_norm else None for _ in range(2))
        self.norm = norm(num_heads * head_dim) if variant.scale_norms else None
        if position_rows:  # (key|value, vertical|horizontal or time, table_rows, head_dim)
            self.relative_positions = nn.Parameter(torch.zeros(2, axes, position_rows, head_dim))

    def forward(self, x: Tensor, layer: Layer, grid: PatchGrid | None) -> Tensor:
        """Map ``(batch, tokens, embed_dim)`` to the same shape with the first ``layer.num_heads`` heads."""
        (batch, tokens, embed_dim), num_heads = x.shape, layer.num_heads
        weight = self.qkv.weight[: 3 * num_heads * self.head_dim, :embed_dim]
        qkv = F.linear(x, weight, self._bias(num_heads)).view(batch, tokens, num_heads, 3, self.head_dim)
        if self.q_norm is not None and self.k_norm is not None:
            q, k, v = qkv.unbind(3)
            qkv = torch.stack((self.q_norm(q), self.k_norm(k), v), dim=3)
        out = self._plain(qkv) if grid is None else self._relative(qkv, grid)
        out = out.reshape(batch, tokens, num_heads * self.head_dim)
        projected: Tensor = self.proj(out if self.norm is None else self.norm(out), embed_dim)
        return projected

    def _bias(self, num_heads: int) -> Tensor:
        bias = self.qkv.bias[: 3 * num_heads * self.head_dim]
        if self.qkv_bias == "interleaved":
            return bias
        return bias.view(3, num_heads, self.head_dim).transpose(0, 1).reshape(-1)

    def _plain(self, qkv: Tensor) -> Tensor:
        q, k, v = qkv.unbind(3)
        return self._attend(q, k, v)

    def _relative(self, qkv: Tensor, grid: PatchGrid) -> Tensor:
        key_offsets, value_offsets = grid(self.relative_positions).to(qkv.dtype).unbind(0)  # each (offsets, head_dim)
        q, k, v = grid.widen(qkv, key_offsets)
        return grid.narrow(self._attend(q, k, v), value_offsets)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend over ``(batch, tokens, heads, width)``; the scale is ``head_dim**-0.5``, whatever the width."""
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        return F.scaled_dot_product_attention(q, k, v, scale=self.head_dim**-0.5).transpose(1, 2)
