"""AutoFormer's released subnets under timm's names (Chen et al., ICCV 2021).

The architectures are those of the paper's authors, also where they lie outside the published space.
There are no weights to download: a file of them comes from the caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model, resolve_pretrained_cfg
from torch import nn

from nasformer.errors import ArchitectureError, CheckpointError, did_you_mean
from nasformer.export.timm.config import config
from nasformer.export.timm.model import TimmVisionTransformer
from nasformer.export.timm.weights import pretrained_weights
from nasformer.space import load_space, released
from nasformer.supernet.attention import QkvBias

__all__ = ["autoformer_base_patch16_224", "autoformer_small_patch16_224", "autoformer_tiny_patch16_224"]

_SPACES = {
    "autoformer_tiny_patch16_224": "autoformer-tiny",
    "autoformer_small_patch16_224": "autoformer-small",
    "autoformer_base_patch16_224": "autoformer-base",
}
_OPTIONS = (
    *("img_size", "in_chans", "num_classes", "global_pool", "drop_rate", "drop_path_rate"),
    *("qkv_bias", "seed", "device", "dtype"),
)
_ORIGIN = {"origin_url": "https://github.com/microsoft/Cream/tree/main/AutoFormer", "paper_ids": "arXiv:2107.00651"}
default_cfgs = generate_default_cfgs(
    {name: {**config(load_space(space).geometry), **_ORIGIN} for name, space in _SPACES.items()}
)
"""Where timm looks for the description of each model's input and head, by name."""


@register_model
def autoformer_tiny_patch16_224(pretrained: bool = False, **options: Any) -> nn.Module:
    """Return AutoFormer-T: 5.87 M parameters, 74.7 % ImageNet top-1 in the paper.

    >>> import timm
    >>> timm.create_model("autoformer_tiny_patch16_224", num_classes=10, img_size=64).num_features
    192
    """
    return _create("autoformer_tiny_patch16_224", pretrained, **options)


@register_model
def autoformer_small_patch16_224(pretrained: bool = False, **options: Any) -> nn.Module:
    """Return AutoFormer-S: 22.9 M parameters, 81.7 % ImageNet top-1 in the paper."""
    return _create("autoformer_small_patch16_224", pretrained, **options)


@register_model
def autoformer_base_patch16_224(pretrained: bool = False, **options: Any) -> nn.Module:
    """Return AutoFormer-B: 53.7 M parameters, 82.4 % ImageNet top-1 in the paper."""
    return _create("autoformer_base_patch16_224", pretrained, **options)


def _create(name: str, pretrained: bool, **options: Any) -> nn.Module:
    """Build the model ``name`` by timm's own helper, which loads weights and wraps it for features.

    Raises:
        ArchitectureError: An option is unknown, or has an impossible value.
        CheckpointError: ``pretrained`` without a file, or weights of another network.
    """
    if pretrained:
        _require_source(name, options.get("pretrained_cfg"), options.get("pretrained_cfg_overlay"))
    model: nn.Module = build_model_with_cfg(
        partial(_network, name),
        name,
        pretrained,
        feature_cfg={"out_indices": 3, "feature_cls": "getter"},
        pretrained_filter_fn=pretrained_weights,
        **options,
    )
    return model


def _network(
    name: str,
    *,
    img_size: int | Sequence[int] = 224,
    in_chans: int = 3,
    num_classes: int = 1000,
    global_pool: str = "avg",
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    qkv_bias: QkvBias = "leading",
    seed: int | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    **unknown: Any,
) -> TimmVisionTransformer:
    for option in unknown:
        raise ArchitectureError(f"{name} takes no option {option!r}; {did_you_mean(option, _OPTIONS)}", option)
    for option, rate in (("drop_rate", drop_rate), ("drop_path_rate", drop_path_rate)):
        if not 0 <= rate < 1:
            raise ArchitectureError(f"{option} must be at least 0 and below 1, got {rate!r}", rate)
    for option, count, least in (("in_chans", in_chans, 1), ("num_classes", num_classes, 0)):
        if count < least:
            raise ArchitectureError(f"{option} must be at least {least}, got {count!r}", count)
    space = load_space(_SPACES[name])
    patch_size, device = space.geometry.patch_size, torch.device(device or torch.get_default_device())
    sizes = {"image_size": _side(img_size, patch_size), "in_channels": in_chans, "num_classes": num_classes}
    with torch.device("meta" if device.type == "meta" else "cpu"):  # initial weights do not depend on the device
        model = TimmVisionTransformer(
            replace(space.geometry, **sizes),
            released(space.name),
            global_pool=global_pool,
            qkv_bias=qkv_bias,
            drop_rate=drop_rate,
            drop_path_rate=drop_path_rate,
            supernet=space.maximum,
            seed=None if device.type == "meta" else _seed(seed),
        )
    return model.to(device, dtype)


def _require_source(name: str, pretrained_cfg: Any, overlay: Any) -> None:
    cfg = resolve_pretrained_cfg(name, pretrained_cfg, overlay)
    if not (cfg.has_weights or cfg.state_dict):
        raise CheckpointError(
            f"{name} has no weights to download; give a file of them, as "
            f"pretrained_cfg_overlay={{'file': 'supernet-{name.split('_')[1]}.pth'}} or checkpoint_path, "
            "or leave pretrained out",
            name,
        )


def _side(img_size: int | Sequence[int], patch_size: int) -> int:
    sides = {img_size} if isinstance(img_size, int) else set(img_size)
    if len(sides) != 1 or not all(isinstance(side, int) and side > 0 and side % patch_size == 0 for side in sides):
        raise ArchitectureError(
            f"img_size must be one multiple of the patch size {patch_size} for both sides, got {img_size!r}", img_size
        )
    return sides.pop()


def _seed(seed: int | None) -> int:
    """Draw a seed from torch's own generator where none is given: timm's scripts set theirs by it."""
    return int(torch.randint(2**62, (), device="cpu")) if seed is None else seed
