"""Conversion of timm's plain ViTs and DeiTs to supernets, with heads, units and channels sorted by importance.

Permuting heads, hidden units or channels consistently leaves the model's function unchanged, so the largest member
equals the model; smaller members are leading slices of the most important parts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers.attention import Attention
from timm.layers.layer_scale import LayerScale
from timm.layers.mlp import Mlp
from timm.layers.norm import LayerNorm as TimmLayerNorm
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import Block
from timm.models.vision_transformer import VisionTransformer as TimmViT
from torch import Tensor, nn

from nasformer.architecture import Architecture, uniform
from nasformer.cost.geometry import Geometry, Pooling
from nasformer.errors import ArchitectureError
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.supernet.importance import Importance, gradient_importance, weight_importance

_POOLINGS: dict[str, Pooling] = {"token": "cls", "avg": "mean"}
_NORMS = (nn.LayerNorm, TimmLayerNorm)
_WIDTH_UNIT = 8


@dataclass(frozen=True)
class TimmModel:
    """A timm model in our layout.

    Attributes:
        geometry: Sizes of images, patches, heads and classes.
        architecture: Sizes of the layers.
        pooling: Input of the head.
        norm_eps: Layer norm epsilon.
        weights: Parameters in our names and layout, not sorted.
        importance: Importance of heads, units and channels.
        criterion: Importance criterion.
    """

    geometry: Geometry
    architecture: Architecture
    pooling: Pooling
    norm_eps: float
    weights: dict[str, Tensor]
    importance: Importance
    criterion: str

    def ordered(self, *, channels: bool) -> dict[str, Tensor]:
        """Return the parameters sorted by descending importance of heads and units, optionally of ``channels``."""
        weights = dict(self.weights)
        for layer in range(self.architecture.depth):
            _permute_heads(weights, f"blocks.{layer}.attn.", _descending(self.importance.heads[layer]))
            _permute_units(weights, f"blocks.{layer}.mlp.", _descending(self.importance.units[layer]))
        return _permute_channels(weights, _descending(self.importance.channels)) if channels else weights


def read_timm(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]] | None) -> TimmModel:
    """Convert a timm model.

    Args:
        model: The model.
        batches: Batches for the gradient criterion; None: weight magnitudes.

    Raises:
        ArchitectureError: The model has an unsupported part; the message names it.
        DataError: No batches, or one of another shape or with a class that the model has not.
    """
    _require_plain(model)
    vit: Any = model
    importance = weight_importance(vit) if batches is None else gradient_importance(vit, batches)
    criterion = "sum of absolute weights" if batches is None else "absolute derivative by a gate"
    architecture = uniform(vit.embed_dim, len(vit.blocks), vit.blocks[0].attn.num_heads, _ratio(vit))
    pooling = _POOLINGS[vit.global_pool]
    return TimmModel(_geometry(vit), architecture, pooling, vit.norm.eps, _weights(vit), importance, criterion)


def suggested_space(source: TimmModel) -> SearchSpace:
    """Return a space around a model: ¾ of its width or all, up to two layers fewer, ½, ¾ or all heads and MLP ratio."""
    own, geometry = source.architecture, source.geometry
    heads, ratio = own.num_heads[0], own.mlp_ratio[0]
    narrow = round(0.75 * own.embed_dim / _WIDTH_UNIT) * _WIDTH_UNIT
    return SearchSpace(
        "from-timm",
        embed_dim=choice(*sorted({min(narrow, own.embed_dim), own.embed_dim})),
        depth=choice(*range(max(1, own.depth - 2), own.depth + 1)),
        num_heads=per_layer(*sorted({-(-heads // 2), -(-3 * heads // 4), heads})),
        mlp_ratio=per_layer(ratio / 2, 0.75 * ratio, ratio),
        head_dim=geometry.head_dim,
        image_size=geometry.image_size,
        patch_size=geometry.patch_size,
        in_channels=geometry.in_channels,
        num_classes=geometry.num_classes,
        pooling=source.pooling,
        max_distance=None,
    )


def require_supernet_sizes(source: TimmModel, space: SearchSpace) -> None:
    """Check that a model has the sizes of a space's supernet.

    Raises:
        ArchitectureError: A size differs; the message names it and both values.
    """
    own, wanted = source.architecture, space.supernet_architecture
    pairs = {
        **{name: (getattr(source.geometry, name), getattr(space.geometry, name)) for name in Geometry.__slots__},
        "pooling": (source.pooling, space.pooling),
        "embed_dim": (own.embed_dim, wanted.embed_dim),
        "depth": (own.depth, wanted.depth),
        "num_heads": (own.num_heads[0], max(wanted.num_heads)),
        "MLP width": (own.hidden_dims[0], max(wanted.hidden_dims)),
    }
    for name, (have, need) in pairs.items():
        if have != need:
            raise ArchitectureError(
                f"the model's {name} is {have!r}, but that of the largest network of space {space.name!r} is {need!r}; "
                "declare a space around the model",
                space,
            )


def _require_plain(model: nn.Module) -> None:
    if type(model) is not TimmViT:
        raise ArchitectureError(
            f"{type(model).__name__} is not a timm.models.vision_transformer.VisionTransformer; supernets support "
            "timm's plain ViTs and DeiTs",
            model,
        )
    vit: Any = model
    for block in vit.blocks:
        if type(block) is not Block:
            raise ArchitectureError(
                f"the model has blocks of class {type(block).__name__}, which supernets do not support; give one of "
                "timm's plain ViTs or DeiTs",
                model,
            )
    parts = {
        "global_pool": vit.global_pool in _POOLINGS,
        "no class token": vit.has_class_token,
        "register tokens": not vit.num_reg_tokens,
        "pool_include_prefix": not (vit.pool_include_prefix and vit.global_pool == "avg"),
        "a norm before the blocks (pre_norm)": isinstance(vit.norm_pre, nn.Identity),
        "a norm after pooling (fc_norm)": isinstance(vit.fc_norm, nn.Identity)
        and not isinstance(vit.norm, nn.Identity),
        "a head that is not nn.Linear": isinstance(vit.head, nn.Linear),
        "no position embedding": vit.pos_embed is not None,
        **_patch_embed_parts(vit.patch_embed),
    }
    for block in vit.blocks:
        parts |= _block_parts(block)
    parts["blocks of unequal sizes"] = not all(parts.values()) or len({_sizes(block) for block in vit.blocks}) == 1
    eps = getattr(vit.norm, "eps", None)
    norms = [vit.norm, *(norm for block in vit.blocks for norm in (block.norm1, block.norm2))]
    parts["norms of another kind than LayerNorm"] = all(_plain_norm(norm, eps) for norm in norms)
    for name, plain in parts.items():
        if not plain:
            value = f" {vit.global_pool!r}" if name == "global_pool" else ""
            raise ArchitectureError(
                f"the model has {name}{value}, which supernets do not support; give one of timm's plain ViTs or DeiTs",
                model,
            )


def _plain_norm(norm: nn.Module, eps: float | None) -> bool:
    return isinstance(norm, nn.LayerNorm) and type(norm) in _NORMS and norm.eps == eps and norm.elementwise_affine


def _sizes(block: Any) -> tuple[int, ...]:
    return (block.attn.num_heads, block.attn.head_dim, block.mlp.fc1.out_features)


def _patch_embed_parts(embedding: nn.Module) -> dict[str, bool]:
    if type(embedding) is not PatchEmbed:
        return {f"patches by {type(embedding).__name__}": False}
    rows, columns = embedding.img_size or (0, 1)
    height, width = embedding.patch_size
    return {
        "images that are not square": rows == columns and height == width,
        "patches that do not fit into the images": rows % height == 0,
        "a norm of the patches": isinstance(embedding.norm, nn.Identity),
    }


def _block_parts(block: Any) -> dict[str, bool]:
    attention, mlp = block.attn, block.mlp
    if type(attention) is not Attention:
        return {f"attention of class {type(attention).__name__}": False}
    if type(mlp) is not Mlp:
        return {f"MLPs of class {type(mlp).__name__}": False}
    inner = (attention.q_norm, attention.k_norm, attention.norm)
    exact = isinstance(mlp.act, nn.GELU) and getattr(mlp.act, "approximate", "none") == "none"
    return {
        "norms in attention (qk_norm, scale_attn_norm)": all(isinstance(n, nn.Identity) for n in inner),
        "gated attention": getattr(attention, "gate", None) is None,
        "a norm in the MLP (scale_mlp_norm)": isinstance(mlp.norm, nn.Identity),
        f"the activation {type(mlp.act).__name__}": exact,
        "another scale of attention": attention.scale == attention.head_dim**-0.5,
    }


def _geometry(vit: Any) -> Geometry:
    return Geometry(
        image_size=vit.patch_embed.img_size[0],
        patch_size=vit.patch_embed.patch_size[0],
        in_channels=vit.patch_embed.proj.in_channels,
        num_classes=vit.num_classes,
        head_dim=vit.blocks[0].attn.head_dim,
        max_distance=None,
    )


def _ratio(vit: Any) -> float:
    ratio = float(vit.blocks[0].mlp.fc1.out_features / vit.embed_dim)
    hidden = vit.blocks[0].mlp.fc1.out_features
    return ratio if int(vit.embed_dim * ratio) == hidden else (hidden + 0.5) / vit.embed_dim


def _weights(vit: Any) -> dict[str, Tensor]:
    """Return the model's parameters in our names and layout."""
    with torch.no_grad():
        positions = vit.pos_embed
        if vit.no_embed_class:
            positions = torch.cat((torch.zeros_like(vit.cls_token), positions), dim=1)
        weights = {
            "patch_embed.weight": vit.patch_embed.proj.weight,
            "patch_embed.bias": _bias(vit.patch_embed.proj),
            "patch_embed.cls_token": vit.cls_token,
            "patch_embed.positions": positions,
            **_pair("norm", vit.norm),
            **_pair("head", vit.head),
        }
        for layer, block in enumerate(vit.blocks):
            weights |= _block_weights(f"blocks.{layer}.", block)
        return {name: tensor.detach().clone().float() for name, tensor in weights.items()}


def _block_weights(prefix: str, block: Any) -> dict[str, Tensor]:
    heads, width = block.attn.num_heads, block.attn.head_dim
    qkv = block.attn.qkv.weight  # (q|k|v, head, head_dim) x embed_dim
    weights = {
        **_pair(f"{prefix}attn_norm", block.norm1),
        f"{prefix}attn.qkv.weight": qkv.view(3, heads, width, -1).transpose(0, 1).reshape(qkv.shape),
        f"{prefix}attn.qkv.bias": _bias(block.attn.qkv).view(3, heads, width).transpose(0, 1).reshape(-1),
        **_pair(f"{prefix}mlp_norm", block.norm2),
        **_pair(f"{prefix}mlp.fc1", block.mlp.fc1),
    }
    for name, linear, scale in (("attn.proj", block.attn.proj, block.ls1), ("mlp.fc2", block.mlp.fc2, block.ls2)):
        gamma = scale.gamma if isinstance(scale, LayerScale) else torch.ones_like(_bias(linear))
        weights[f"{prefix}{name}.weight"] = linear.weight * gamma[:, None]
        weights[f"{prefix}{name}.bias"] = _bias(linear) * gamma
    return weights


def _pair(name: str, module: Any) -> dict[str, Tensor]:
    return {f"{name}.weight": module.weight, f"{name}.bias": _bias(module)}


def _bias(module: Any) -> Tensor:
    """Return the bias, or zeros."""
    bias: Tensor | None = module.bias
    return module.weight.new_zeros(len(module.weight)) if bias is None else bias


def _descending(importance: Tensor) -> Tensor:
    """Return a stable argsort by descending importance."""
    return importance.argsort(descending=True, stable=True).cpu()


def _permute_heads(weights: dict[str, Tensor], prefix: str, order: Tensor) -> None:
    heads = len(order)
    for name in ("qkv.weight", "qkv.bias"):
        tensor = weights[prefix + name]
        weights[prefix + name] = tensor.view(heads, -1, *tensor.shape[1:])[order].reshape(tensor.shape)
    proj = weights[f"{prefix}proj.weight"]
    weights[f"{prefix}proj.weight"] = proj.view(len(proj), heads, -1)[:, order].reshape(proj.shape)


def _permute_units(weights: dict[str, Tensor], prefix: str, order: Tensor) -> None:
    for name in ("fc1.weight", "fc1.bias"):
        weights[prefix + name] = weights[prefix + name][order]
    weights[f"{prefix}fc2.weight"] = weights[f"{prefix}fc2.weight"][:, order]


def _permute_channels(weights: dict[str, Tensor], order: Tensor) -> dict[str, Tensor]:
    """Permute the embedding channels consistently in all parameters."""
    first = ("patch_embed.weight", "patch_embed.bias", "proj.weight", "proj.bias", "fc2.weight", "fc2.bias")
    last = ("cls_token", "positions", "qkv.weight", "fc1.weight", "head.weight")
    ordered = {}
    for name, tensor in weights.items():
        if name.endswith(last):
            tensor = tensor[..., order]
        elif name.endswith(first) or "norm." in name:
            tensor = tensor[order]
        ordered[name] = tensor
    return ordered
