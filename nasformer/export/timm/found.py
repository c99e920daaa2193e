"""Any found network under one name of timm's, ``nasformer_vit``: its sizes are arguments.

An exported folder names it in ``config.json``, so that ``timm.create_model("local-dir:FOLDER", pretrained=True)``
builds the network and loads its weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from nasformer.architecture import Architecture
from nasformer.cost.geometry import Geometry
from nasformer.export.timm.config import config
from nasformer.export.timm.model import TimmVisionTransformer
from nasformer.export.timm.weights import pretrained_weights
from nasformer.supernet.attention import QkvBias
from nasformer.supernet.layers import LAYER_NORM_EPS

__all__ = ["nasformer_vit"]

default_cfgs = generate_default_cfgs({"nasformer_vit": config(Geometry())})
"""Where timm looks for the description of the model's input and head."""


@register_model
def nasformer_vit(pretrained: bool = False, **options: Any) -> nn.Module:
    """Return a network of the given sizes.

    >>> import timm
    >>> sizes = {"embed_dim": 32, "num_heads": [1, 2], "mlp_ratio": [2, 1.5], "head_dim": 16}
    >>> timm.create_model("nasformer_vit", img_size=32, num_classes=10, **sizes).architecture
    Architecture(embed_dim=32, num_heads=(1, 2), mlp_ratio=(2.0, 1.5))
    """
    model: nn.Module = build_model_with_cfg(
        _network,
        "nasformer_vit",
        pretrained,
        feature_cfg={"out_indices": 3, "feature_cls": "getter"},
        pretrained_filter_fn=pretrained_weights,
        **options,
    )
    return model


def _network(
    *,
    embed_dim: int,
    num_heads: Sequence[int],
    mlp_ratio: Sequence[float],
    head_dim: int = 64,
    patch_size: int = 16,
    max_distance: int | None = None,
    img_size: int | Sequence[int] = 224,
    in_chans: int = 3,
    num_classes: int = 1000,
    global_pool: str = "avg",
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    qkv_bias: QkvBias = "leading",
    norm_eps: float = LAYER_NORM_EPS,
    seed: int | None = 0,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> TimmVisionTransformer:
    side = img_size if isinstance(img_size, int) else img_size[0]
    geometry = Geometry(side, patch_size, in_chans, num_classes, head_dim, max_distance)
    model = TimmVisionTransformer(
        geometry,
        Architecture(embed_dim, tuple(num_heads), tuple(mlp_ratio)),
        global_pool=global_pool,
        qkv_bias=qkv_bias,
        drop_rate=drop_rate,
        drop_path_rate=drop_path_rate,
        seed=seed,
    )
    model.set_norm_eps(norm_eps)
    return model.to(device, dtype)
