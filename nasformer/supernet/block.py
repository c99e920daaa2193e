"""Block: a pre-norm transformer layer that runs at any smaller size, or skips a branch."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from nasformer.architecture import Layer
from nasformer.cost.geometry import Geometry
from nasformer.cost.variant import PLAIN
from nasformer.dimension import kind_of
from nasformer.errors import ArchitectureError
from nasformer.supernet.attention import QkvBias, SlicedAttention
from nasformer.supernet.layers import NORMS, Shard, SlicedMlp, drop_path
from nasformer.supernet.relative_position import PatchGrid
from nasformer.supernet.sharing import ENTANGLED, Sharing


class Block(nn.Module):
    """A pre-norm transformer layer; a branch without heads or hidden units has neither norm nor weights.

    Args:
        geometry: Sizes of images, patches and heads.
        embed_dim: Maximal embedding dimension.
        layer: Maximal choices of the layer.
        qkv_bias: Slice of the qkv bias that fewer heads use.
        drop_path: Stochastic depth rate in training.
        sharing: Weight sharing scheme.

    Raises:
        ArchitectureError: Two of the layer's dimensions define the attention.
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
        variant, norm = geometry.variant, NORMS[geometry.variant.norm]
        if layer.num_heads:
            rows = geometry.position_rows
            options: dict[str, Any] = {"head_dim": geometry.head_dim, "position_rows": rows, "qkv_bias": qkv_bias}
            # both are unknown to plug-ins where they are not needed
            options |= {} if geometry.axes == 2 else {"axes": geometry.axes}
            options |= {} if variant == PLAIN else {"variant": variant}
            self.attn_norm = sharing.by_width(norm, embed_dim)
            self.attn = sharing.by_heads(partial(_attention(layer), **options), embed_dim, layer.num_heads)
        if layer.hidden_dim:
            self.mlp_norm = sharing.by_width(norm, embed_dim)
            self.mlp = sharing.by_hidden(partial(SlicedMlp, variant=variant), embed_dim, layer.hidden_dim)
        self.drop_path = drop_path

    def forward(self, x: Tensor, layer: Layer, grid: PatchGrid | None, shard: Shard | None = None) -> Tensor:
        """Map ``(batch, tokens, embed_dim)`` to the same shape.

        Args:
            x: Tokens.
            layer: The choices to run, no larger than the block's own.
            grid: Tables of the patch grid; None: no relative positions.
            shard: Rows of ``x`` in a global batch; None: the whole batch.
        """
        if layer.num_heads:
            attended = self.attn(self.attn_norm(x), layer, grid)
            x = x + drop_path(attended, self.drop_path, self.training, shard)
        if layer.hidden_dim:
            x = x + drop_path(self.mlp(self.mlp_norm(x), layer), self.drop_path, self.training, shard)
        return x


def _attention(layer: Layer) -> Callable[..., nn.Module]:
    """Return the attention class of a layer: ``SlicedAttention``, or that of one of its dimensions."""
    own = [kind for kind in (kind_of(name) for name, _ in layer.further) if kind.attention is not None]
    if len(own) > 1:
        names = " and ".join(kind.name for kind in own)
        raise ArchitectureError(f"{names} each build the attention of a layer; search one of them", layer)
    return partial(own[0].attention, layer=layer) if own and own[0].attention else SlicedAttention
