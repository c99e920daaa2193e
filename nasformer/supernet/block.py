"""Block: one pre-norm transformer layer that runs at any number of heads and MLP width up to its own."""

from __future__ import annotations

from torch import Tensor, nn

from nasformer.cost.geometry import Geometry
from nasformer.supernet.attention import QkvBias, SlicedAttention
from nasformer.supernet.layers import Shard, SlicedLayerNorm, SlicedMlp, drop_path
from nasformer.supernet.relative_position import PatchGrid


class Block(nn.Module):
    """One pre-norm transformer layer.

    Args:
        geometry: The sizes that every architecture shares.
        embed_dim: Most features.
        num_heads: Most heads.
        hidden_dim: Most hidden units of the MLP.
        qkv_bias: Which bias entries fewer heads use.
        drop_path: Probability that a sample skips a branch, in training.
    """

    def __init__(
        self,
        geometry: Geometry,
        embed_dim: int,
        num_heads: int,
        hidden_dim: int,
        *,
        qkv_bias: QkvBias = "leading",
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        rows = geometry.position_rows
        self.attn_norm = SlicedLayerNorm(embed_dim)
        self.attn = SlicedAttention(embed_dim, num_heads, geometry.head_dim, position_rows=rows, qkv_bias=qkv_bias)
        self.mlp_norm = SlicedLayerNorm(embed_dim)
        self.mlp = SlicedMlp(embed_dim, hidden_dim)
        self.drop_path = drop_path
        self.shard: Shard | None = None

    def forward(self, x: Tensor, num_heads: int, hidden_dim: int, grid: PatchGrid | None) -> Tensor:
        """Map ``(batch, tokens, embed_dim)`` to the same shape."""
        x = x + drop_path(self.attn(self.attn_norm(x), num_heads, grid), self.drop_path, self.training, self.shard)
        return x + drop_path(self.mlp(self.mlp_norm(x), hidden_dim), self.drop_path, self.training, self.shard)
