"""AutoFormer's network in a straightforward implementation: full relative embeddings, explicit softmax.

The reference of ``supernet_speed.py``: one architecture, standard layers, no slices. Attention adds
q.e[n, m] to the logits and sums a[n, m] e[n, m] to the output, with e of shape (tokens, tokens, head_dim)
looked up from the tables, as in AutoFormer's equations. The benchmarks check that its outputs equal ours.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasformer.architecture import Architecture
from nasformer.cost.geometry import Geometry
from nasformer.supernet import VisionTransformer, to_autoformer
from nasformer.supernet.layers import LAYER_NORM_EPS


class PlainRelativePosition(nn.Module):
    """e[n, m] of one layer, for keys or for values."""

    rows: Tensor
    columns: Tensor

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        assert geometry.max_distance is not None
        self.embeddings_table_v = nn.Parameter(torch.empty(geometry.position_rows, geometry.head_dim))
        self.embeddings_table_h = nn.Parameter(torch.empty(geometry.position_rows, geometry.head_dim))
        patch = torch.arange(geometry.patches)
        for name, place in (("rows", patch // geometry.grid), ("columns", patch % geometry.grid)):
            offset = (place[None, :] - place[:, None]).clamp(-geometry.max_distance, geometry.max_distance)
            index = F.pad(offset + geometry.max_distance + 1, (1, 0, 1, 0))
            self.register_buffer(name, index, persistent=False)

    def forward(self) -> Tensor:
        """Return e ``(tokens, tokens, head_dim)``."""
        return self.embeddings_table_v[self.rows] + self.embeddings_table_h[self.columns]


class PlainAttention(nn.Module):
    """Self-attention with relative position on keys and values."""

    def __init__(self, geometry: Geometry, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim = num_heads, geometry.head_dim
        width = num_heads * geometry.head_dim
        self.qkv = nn.Linear(embed_dim, 3 * width)
        self.proj = nn.Linear(width, embed_dim)
        self.rel_pos_embed_k = PlainRelativePosition(geometry)
        self.rel_pos_embed_v = PlainRelativePosition(geometry)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, tokens, embed_dim)`` to the same shape."""
        batch, tokens, _ = x.shape
        qkv = self.qkv(x).view(batch, tokens, 3, self.num_heads, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (batch, heads, tokens, head_dim)
        logits = q @ k.transpose(-2, -1) + torch.einsum("bhnd,nmd->bhnm", q, self.rel_pos_embed_k())
        weights = (logits * self.head_dim**-0.5).softmax(dim=-1)
        out = weights @ v + torch.einsum("bhnm,nmd->bhnd", weights, self.rel_pos_embed_v())
        return cast(Tensor, self.proj(out.transpose(1, 2).reshape(batch, tokens, -1)))


class PlainBlock(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, geometry: Geometry, embed_dim: int, num_heads: int, hidden_dim: int) -> None:
        super().__init__()
        self.attn_layer_norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        self.attn = PlainAttention(geometry, embed_dim, num_heads)
        self.ffn_layer_norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        self.fc1 = nn.Linear(embed_dim, hidden_dim)
        self.fc2 = nn.Linear(hidden_dim, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(batch, tokens, embed_dim)`` to the same shape."""
        x = x + self.attn(self.attn_layer_norm(x))
        return x + cast(Tensor, self.fc2(F.gelu(self.fc1(self.ffn_layer_norm(x)))))


class PlainVisionTransformer(nn.Module):
    """AutoFormer's network of one architecture, with mean pooling."""

    def __init__(self, geometry: Geometry, architecture: Architecture) -> None:
        super().__init__()
        g, embed_dim = geometry, architecture.embed_dim
        self.patch_embed_super = nn.ModuleDict(
            {"proj": nn.Conv2d(g.in_channels, embed_dim, g.patch_size, stride=g.patch_size)}
        )
        self.cls_token = nn.Parameter(torch.empty(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.empty(1, g.tokens, embed_dim))
        layers = zip(architecture.num_heads, architecture.hidden_dims, strict=True)
        self.blocks = nn.Sequential(*(PlainBlock(g, embed_dim, heads, hidden) for heads, hidden in layers))
        self.norm = nn.LayerNorm(embed_dim, eps=LAYER_NORM_EPS)
        self.head = nn.Linear(embed_dim, g.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits ``(batch, num_classes)``."""
        x = self.patch_embed_super["proj"](images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1) + self.pos_embed
        x = self.norm(self.blocks(x))
        return cast(Tensor, self.head(x[:, 1:].mean(dim=1)))


def plain_twin(net: VisionTransformer) -> PlainVisionTransformer:
    """Return the plain network with the weights of ``net``, in its mode."""
    twin = PlainVisionTransformer(net.geometry, net.architecture)
    official = to_autoformer(net)
    for name, tensor in official.items():
        if ".attn.qkv." in name:  # rows (head_dim, heads, q|k|v) interleaved -> q, k, v in turn; the bias is in turn
            official[name] = tensor if name.endswith("bias") else torch.cat([tensor[i::3] for i in range(3)])
    twin.load_state_dict(official)
    return twin.train(net.training)
