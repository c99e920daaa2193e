"""Conversion of state dicts for timm's models.

timm passes a file's state dict to the model (``checkpoint_path``, ``--checkpoint``, ``--resume``) or first to a
filter (``pretrained``), without the file's metadata. The source is therefore inferred from names (ours or
AutoFormer's) and sizes (the model's or its supernet's); others are rejected.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from nasformer.architecture import Architecture
from nasformer.cost.geometry import Geometry
from nasformer.errors import CheckpointError
from nasformer.supernet import VisionTransformer, from_autoformer
from nasformer.supernet.autoformer import official_name
from nasformer.supernet.checkpoint import fill
from nasformer.supernet.layers import resample_positions

if TYPE_CHECKING:
    from nasformer.export.timm.model import TimmVisionTransformer

_OWN = ("patch_embed.bias", "patch_embed.positions", "patch_embed.weight", "head.weight")
_OFFICIAL = tuple(official_name(name) for name in _OWN)


def convert_weights(model: TimmVisionTransformer, weights: Mapping[str, Any]) -> Mapping[str, Any]:
    """Convert ``weights`` to the names and layer sizes of ``model``.

    Args:
        model: The target model.
        weights: A state dict of this network or its supernet; others are returned unchanged, for torch to check.

    Raises:
        CheckpointError: Weights of other sizes, or damaged.
    """
    official = _OFFICIAL[0] in weights
    names = _OFFICIAL if official else _OWN
    if not all(name in weights for name in names[:3]):
        return weights
    architecture = _architecture(model, weights, names[0])
    if not official and architecture == model.architecture:
        return weights
    source = VisionTransformer(_geometry(model, weights, names), architecture, qkv_bias=model.qkv_bias, seed=None)
    if official:
        from_autoformer(source, weights)
    else:
        fill(source, weights, "given")
    return source.extract(model.architecture).state_dict()


def pretrained_weights(weights: Mapping[str, Any], model: TimmVisionTransformer) -> dict[str, Any]:
    """Filter a checkpoint for timm: convert, and resample positions; timm adapts channels and classes."""
    own, first = dict(convert_weights(model, weights)), int(model.geometry.variant.class_token)
    positions, grid = own.get("patch_embed.positions"), model.geometry.grid
    if positions is not None and positions.shape[1] != grid**2 + first:
        own["patch_embed.positions"] = resample_positions(positions, grid, first)
    return own


def _architecture(model: TimmVisionTransformer, weights: Mapping[str, Any], bias: str) -> Architecture:
    """Infer the model's or its supernet's architecture from width and depth; shapes are checked later."""
    width = weights[bias].shape[-1]
    blocks = {int(name.split(".")[1]) for name in weights if name.startswith("blocks.")}
    known = [a for a in (model.architecture, model.supernet) if a is not None]
    for architecture in known:
        computed = {at for at, own in enumerate(architecture.layers) if own.num_heads or own.hidden_dim}
        if (architecture.embed_dim, computed) == (width, blocks):
            return architecture
    sizes = " or ".join(f"embed_dim {a.embed_dim} and depth {a.depth}" for a in known)
    raise CheckpointError(
        f"the weights have embed_dim {width} and depth {len(blocks)}, this model takes {sizes}; load them into a "
        "nasformer network, extract this architecture, and convert it with nasformer.export.timm.to_timm",
        (width, blocks),
    )


def _geometry(model: TimmVisionTransformer, weights: Mapping[str, Tensor], names: tuple[str, ...]) -> Geometry:
    _, positions, patches, head = names
    first = int(model.geometry.variant.class_token)
    side = math.isqrt(weights[positions].shape[1] - first) * model.geometry.patch_size
    classes = weights[head].shape[0] if head in weights else model.num_classes
    return replace(model.geometry, image_size=side, in_channels=weights[patches].shape[1], num_classes=classes)
