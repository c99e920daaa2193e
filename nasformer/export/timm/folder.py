"""Exported folders that timm opens: ``timm.create_model("local-dir:PATH", pretrained=True)``.

``config.json`` has the name of the model registered here and its sizes; ``model.safetensors`` the weights. The layout
is that of timm's models on a hub, so ``hf-hub:`` opens it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model
from torch import nn

from nasformer._io import to_json
from nasformer.architecture import Architecture
from nasformer.cost.geometry import Geometry
from nasformer.errors import ArchitectureError
from nasformer.export.description import Description
from nasformer.export.timm.build import build
from nasformer.export.timm.config import config
from nasformer.export.timm.convert import to_timm
from nasformer.export.timm.model import TimmVisionTransformer
from nasformer.export.timm.weights import pretrained_weights
from nasformer.supernet.model import VisionTransformer

__all__ = ["nasformer_vit"]

NAME = "nasformer_vit"
CONFIG = "config.json"
default_cfgs = generate_default_cfgs({NAME: config(Geometry())})


@register_model
def nasformer_vit(pretrained: bool = False, *, network: Mapping[str, Any] | None = None, **options: Any) -> nn.Module:
    """Return a network with the sizes of a folder's ``config.json``.

    Raises:
        ArchitectureError: No folder, an unknown option or an invalid value.
    """
    if network is None:
        raise ArchitectureError(
            f"{NAME} has no fixed sizes: open a folder, as timm.create_model('local-dir:PATH', pretrained=True)"
        )
    model: nn.Module = build_model_with_cfg(
        partial(_build_model, network),
        NAME,
        pretrained,
        feature_cfg={"out_indices": 3, "feature_cls": "getter"},
        pretrained_filter_fn=pretrained_weights,
        **{"qkv_bias": network["qkv_bias"], "global_pool": network["global_pool"], **options},
    )
    return model


def _build_model(network: Mapping[str, Any], **options: Any) -> TimmVisionTransformer:
    geometry, architecture = Geometry.from_dict(network["geometry"]), Architecture.from_dict(network["architecture"])
    model = build(NAME, geometry, architecture, None, **options)
    model.set_norm_eps(network["norm_eps"])
    return model


def write_config(net: VisionTransformer, folder: Path, description: Description) -> None:
    """Write timm's ``config.json`` next to a network's weights."""
    steps = description.preprocessing
    assert steps is not None
    model = to_timm(
        net,
        mean=steps.mean,
        std=steps.std,
        crop_pct=steps.size / steps.resize,
        interpolation=steps.interpolation,
        license=description.provenance.get("licence"),
    )
    network = {
        "geometry": dict(description.network["geometry"]),
        "architecture": net.architecture.to_dict(),
        "qkv_bias": net.qkv_bias,
        "norm_eps": net.norm_eps,
        "global_pool": model.global_pool,
    }
    written = {
        "architecture": NAME,
        "num_classes": net.geometry.num_classes,
        "num_features": model.num_features,
        "global_pool": model.global_pool,
        "label_names": list(description.task.outputs),
        "model_args": {"network": network},
        "pretrained_cfg": {name: value for name, value in model.pretrained_cfg.items() if value is not None},
    }
    (folder / CONFIG).write_text(to_json(written, indent=1) + "\n", encoding="utf-8")
