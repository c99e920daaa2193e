"""AutoFormer's released subnets as timm models (Chen et al., ICCV 2021).

The architectures are the authors', even if outside the published space. There are no weights to download: the caller
provides a file.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model, resolve_pretrained_cfg
from torch import nn

from nasformer.errors import CheckpointError
from nasformer.export.timm.build import build
from nasformer.export.timm.config import config
from nasformer.export.timm.weights import pretrained_weights
from nasformer.space import load_space, released

__all__ = ["autoformer_base_patch16_224", "autoformer_small_patch16_224", "autoformer_tiny_patch16_224"]

_SPACES = {
    "autoformer_tiny_patch16_224": "autoformer-tiny",
    "autoformer_small_patch16_224": "autoformer-small",
    "autoformer_base_patch16_224": "autoformer-base",
}
_ORIGIN = {"origin_url": "https://github.com/microsoft/Cream/tree/main/AutoFormer", "paper_ids": "arXiv:2107.00651"}
default_cfgs = generate_default_cfgs(
    {name: {**config(load_space(space).geometry), **_ORIGIN} for name, space in _SPACES.items()}
)
"""timm's default configuration of each model."""


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
    """Build the model ``name`` with timm's helper, which loads weights and wraps feature extractors.

    Raises:
        ArchitectureError: An unknown option or an invalid value.
        CheckpointError: ``pretrained`` without a file, or weights of another network.
    """
    if pretrained:
        _require_source(name, options.get("pretrained_cfg"), options.get("pretrained_cfg_overlay"))
    space = load_space(_SPACES[name])
    model: nn.Module = build_model_with_cfg(
        partial(build, name, space.geometry, released(space.name), space.supernet_architecture),
        name,
        pretrained,
        feature_cfg={"out_indices": 3, "feature_cls": "getter"},
        pretrained_filter_fn=pretrained_weights,
        **options,
    )
    return model


def _require_source(name: str, pretrained_cfg: Any, overlay: Any) -> None:
    cfg = resolve_pretrained_cfg(name, pretrained_cfg, overlay)
    if not (cfg.has_weights or cfg.state_dict):
        raise CheckpointError(
            f"{name} has no weights to download; give a file, as "
            f"pretrained_cfg_overlay={{'file': 'supernet-{name.split('_')[1]}.pth'}} or checkpoint_path, "
            "or omit pretrained",
            name,
        )
