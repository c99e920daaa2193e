"""What timm's data loaders and weight loaders want to know of a model: its input and its head."""

from __future__ import annotations

from typing import Any

from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from nasformer.cost.geometry import Geometry


def config(geometry: Geometry) -> dict[str, Any]:
    """Return timm's description of a network's input and head.

    AutoFormer evaluates on the centre 224 pixels of images resized to 256, bicubic, normalised by
    ImageNet's mean and deviation. Images without three colours are left as they are.

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
