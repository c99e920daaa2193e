"""Block: one pre-norm transformer layer that runs at any number of heads and MLP width up to its own."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from nasformer.cost.geometry import Geometry
from nasformer.supernet.attention import QkvBias, SlicedAttention
from nasformer.supernet.layers import Shard, SlicedLayerNorm, SlicedMlp, drop_path
from nasformer.supernet.relative_position import PatchGrid
from nasformer.supernet.sharing import ENTANGLED, Sharing


class Block(nn.Module):
    """One pre-norm transformer layer.

    Args:
        geometry: The sizes that every architecture shares.
        embed_dim: Most features.
        num_heads: Most heads.
        hidden_dim: Most hidden units of the MLP.
        qkv_bias: Which bias entries fewer heads use.
        drop_path: Probability that a sample skips a branch, in training.
        sharing: Which weights smaller sizes get.
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
        sharing: Sharing = ENTANGLED,
    ) -> None:
        super().__init__()
        rows = geometry.position_rows
        attention = partial(SlicedAttention, head_dim=geometry.head_dim, position_rows=rows, qkv_bias=qkv_bias)
        self.attn_norm = sharing.by_width(SlicedLayerNorm, embed_dim)
        self.attn = sharing.by_heads(attention, embed_dim, num_heads)
        self.mlp_norm = sharing.by_width(SlicedLayerNorm, embed_dim)
        self.mlp = sharing.by_hidden(SlicedMlp, embed_dim, hidden_dim)
        self.drop_path = drop_path
        self.shard: Shard | None = None

    def forward(self, x: Tensor, num_heads: int, hidden_dim: int, grid: PatchGrid | None) -> Tensor:
        """Map ``(batch, tokens, embed_dim)`` to the same shape."""
        x = x + drop_path(self.attn(self.attn_norm(x), num_heads, grid), self.drop_path, self.training, self.shard)
        return x + drop_path(self.mlp(self.mlp_norm(x), hidden_dim), self.drop_path, self.training, self.shard)
