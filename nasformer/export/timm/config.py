"""timm's model configuration for data and weight loaders."""

from __future__ import annotations

from typing import Any

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from nasformer.cost.geometry import Geometry


def config(geometry: Geometry) -> dict[str, Any]:
    """Return timm's configuration of a network's input and head.

    AutoFormer evaluates on 224-pixel centre crops of images resized to 256 pixels, bicubic, normalised by ImageNet's
    mean and standard deviation. Images without three channels are not normalised.

    >>> config(Geometry())["input_size"], config(Geometry())["crop_pct"]
    ((3, 224, 224), 0.875)
    """
    channels, side = geometry.in_channels, geometry.image_size
    colours = channels == 3
    return {
        "input_size": (channels, side, side),
        "fixed_input_size": True,
        "num_classes": geometry.num_classes,
        "interpolation": "bicubic",
        "crop_pct": 0.875,
        "mean": IMAGENET_DEFAULT_MEAN if colours else (0.0,) * channels,
        "std": IMAGENET_DEFAULT_STD if colours else (1.0,) * channels,
        "first_conv": "patch_embed",
        "classifier": "head",
    }
