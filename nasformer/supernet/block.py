"""Block: one pre-norm transformer layer that runs any choices up to its own, or skips a branch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from nasformer.architecture import Layer
from nasformer.cost.geometry import Geometry
from nasformer.dimension import kind_of
from nasformer.errors import ArchitectureError
from nasformer.supernet.attention import QkvBias, SlicedAttention
from nasformer.supernet.layers import Shard, SlicedLayerNorm, SlicedMlp, drop_path
from nasformer.supernet.relative_position import PatchGrid
from nasformer.supernet.sharing import ENTANGLED, Sharing


class Block(nn.Module):
    """One pre-norm transformer layer; a branch of no heads or no hidden units has neither norm nor weights.

    Args:
        geometry: The sizes that every architecture shares.
        embed_dim: Most features.
        layer: Most heads and hidden units, and the most of further dimensions.
        qkv_bias: Which bias entries fewer heads use.
        drop_path: Probability that a sample skips a branch, in training.
        sharing: Which weights smaller sizes get.

    Raises:
        ArchitectureError: Two of the layer's dimensions each build the attention.
    """

    def __init__(
        self,
        geometry: Geometry,
        embed_dim: int,
        layer: Layer,
        *,
        qkv_bias: QkvBias = "leading",
        drop_path: float = 0.0,
        sharing: Sharing = ENTANGLED,
    ) -> None:
        super().__init__()
        if layer.num_heads:
            rows = geometry.position_rows
            options = {"head_dim": geometry.head_dim, "position_rows": rows, "qkv_bias": qkv_bias}
            self.attn_norm = sharing.by_width(SlicedLayerNorm, embed_dim)
            self.attn = sharing.by_heads(partial(_attention(layer), **options), embed_dim, layer.num_heads)
        if layer.hidden_dim:
            self.mlp_norm = sharing.by_width(SlicedLayerNorm, embed_dim)
            self.mlp = sharing.by_hidden(SlicedMlp, embed_dim, layer.hidden_dim)
        self.drop_path = drop_path

    def forward(self, x: Tensor, layer: Layer, grid: PatchGrid | None, shard: Shard | None = None) -> Tensor:
        """Map ``(batch, tokens, embed_dim)`` to the same shape.

        Args:
            x: Tokens.
            layer: The choices to run, no larger than the block's own.
            grid: Of the patches; None: no relative positions.
            shard: Which images of a joint batch ``x`` holds; None: a whole batch.
        """
        if layer.num_heads:
            attended = self.attn(self.attn_norm(x), layer, grid)
            x = x + drop_path(attended, self.drop_path, self.training, shard)
        if layer.hidden_dim:
            x = x + drop_path(self.mlp(self.mlp_norm(x), layer), self.drop_path, self.training, shard)
        return x


def _attention(layer: Layer) -> Callable[..., nn.Module]:
    """Return what builds the attention of a layer: ``SlicedAttention``, or what one of its dimensions says."""
    own = [kind for kind in (kind_of(name) for name, _ in layer.further) if kind.attention is not None]
    if len(own) > 1:
        names = " and ".join(kind.name for kind in own)
        raise ArchitectureError(f"{names} each build the attention of a layer; search one of them", layer)
    return partial(own[0].attention, layer=layer) if own and own[0].attention else SlicedAttention
