"""A plain implementation to compare with, small networks, and the official reference data."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from nasformer.architecture import Architecture, uniform
from nasformer.cost.geometry import Geometry
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.supernet import VisionTransformer, to_autoformer

Plain = Callable[[VisionTransformer, Tensor, Architecture], Tensor]


class Reference(NamedTuple):
    """One official checkpoint with what the official code made of it."""

    path: Path
    geometry: Geometry
    maximum: Architecture
    facts: dict[str, Any]
    images: Tensor
    labels: Tensor
    logits: Tensor

    @property
    def configs(self) -> list[Architecture]:
        return [Architecture(c["embed_dim"][0], c["num_heads"], c["mlp_ratio"]) for c in self.facts["configs"]]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def plain() -> Plain:
    """AUTOFORMER as its page writes it, on official weights, with e[n, m] built in full."""
    return plain_logits


@pytest.fixture
def space() -> SearchSpace:
    return SearchSpace(
        "small",
        embed_dim=choice(16, 24),
        depth=choice(1, 2, 3),
        num_heads=per_layer(1, 2, 3),
        mlp_ratio=per_layer(1, 2),
        head_dim=8,
        image_size=8,
        patch_size=2,
        in_channels=1,
        num_classes=5,
        max_distance=2,
    )


@pytest.fixture(params=["small", "clamped"])
def official(request: pytest.FixtureRequest, reference: Path) -> Reference:
    path = reference / "autoformer-reference" / f"{request.param}.pth"
    if not path.exists():
        pytest.skip(f"no official reference data: {path} is absent (set NASFORMER_REFERENCE)")
    facts = json.loads(path.with_suffix(".json").read_text())
    arrays = np.load(path.with_suffix(".npz"))
    geometry = Geometry(
        image_size=facts["image_size"],
        patch_size=facts["patch_size"],
        num_classes=facts["num_classes"],
        max_distance=facts["max_relative_position"],
    )
    sizes = ("super_embed_dim", "super_depth", "super_num_heads", "super_mlp_ratio")
    maximum = uniform(*(facts[size] for size in sizes))
    tensors = [torch.from_numpy(arrays[key]) for key in ("images", "labels", "logits")]
    return Reference(path, geometry, maximum, facts, *tensors)


def plain_logits(net: VisionTransformer, images: Tensor, architecture: Architecture) -> Tensor:
    w = to_autoformer(net)
    g, embed_dim = net.geometry, architecture.embed_dim
    x = F.conv2d(
        images,
        w["patch_embed_super.proj.weight"][:embed_dim],
        w["patch_embed_super.proj.bias"][:embed_dim],
        stride=g.patch_size,
    )
    x = x.flatten(2).transpose(1, 2)
    cls_token = w["cls_token"][..., :embed_dim].expand(len(x), -1, -1)
    x = torch.cat([cls_token, x], 1) + w["pos_embed"][..., :embed_dim]
    for layer, (heads, hidden) in enumerate(zip(architecture.num_heads, architecture.hidden_dims, strict=True)):
        block = {name: w[f"blocks.{layer}.{name}"] for name in _names(w, layer)}
        x = x + _plain_attention(block, g, _norm(block, "attn_layer_norm", x), heads, net.qkv_bias)
        hidden_units = F.gelu(_linear(block, "fc1", _norm(block, "ffn_layer_norm", x), hidden))
        x = x + _linear(block, "fc2", hidden_units, embed_dim)
    x = _norm(w, "norm", x)
    return _linear(w, "head", x[:, 1:].mean(1) if net.pooling == "mean" else x[:, 0], g.num_classes)


def _names(w: Mapping[str, Tensor], layer: int) -> list[str]:
    prefix = f"blocks.{layer}."
    return [name.removeprefix(prefix) for name in w if name.startswith(prefix)]


def _linear(w: Mapping[str, Tensor], name: str, x: Tensor, out: int) -> Tensor:
    return F.linear(x, w[f"{name}.weight"][:out, : x.shape[-1]], w[f"{name}.bias"][:out])


def _norm(w: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    width = x.shape[-1]
    return F.layer_norm(x, (width,), w[f"{name}.weight"][:width], w[f"{name}.bias"][:width], 1e-5)


def _plain_attention(w: Mapping[str, Tensor], g: Geometry, x: Tensor, heads: int, qkv_bias: str) -> Tensor:
    width, batch, tokens = heads * g.head_dim, len(x), g.tokens
    weight = torch.cat([w["attn.qkv.weight"][i : 3 * width : 3, : x.shape[-1]] for i in range(3)])
    all_bias = w["attn.qkv.bias"]
    interleaved = torch.cat([all_bias[i : 3 * width : 3] for i in range(3)])
    qkv = F.linear(x, weight, all_bias[: 3 * width] if qkv_bias == "leading" else interleaved)
    q, k, v = qkv.view(batch, tokens, 3, heads, g.head_dim).permute(2, 0, 3, 1, 4)
    logits = q @ k.transpose(-2, -1)
    if g.max_distance is not None:
        logits = logits + torch.einsum("bhnd,nmd->bhnm", q, _embedding(w, g, "k"))
    attention = (logits * g.head_dim**-0.5).softmax(-1)
    out = attention @ v
    if g.max_distance is not None:
        out = out + torch.einsum("bhnm,nmd->bhnd", attention, _embedding(w, g, "v"))
    return _linear(w, "attn.proj", out.transpose(1, 2).reshape(batch, tokens, width), x.shape[-1])


def _embedding(w: Mapping[str, Tensor], g: Geometry, part: str) -> Tensor:
    """e[n, m] of shape (tokens, tokens, head_dim)."""
    assert g.max_distance is not None
    patch = torch.arange(g.patches)
    total = torch.zeros(g.tokens, g.tokens, g.head_dim)
    for axis, place in (("v", patch // g.grid), ("h", patch % g.grid)):
        offset = (place[None, :] - place[:, None]).clamp(-g.max_distance, g.max_distance)
        index = F.pad(offset + g.max_distance + 1, (1, 0, 1, 0))
        total = total + w[f"attn.rel_pos_embed_{part}.embeddings_table_{axis}"][index]
    return total
