"""Builds a network from timm's factory arguments: validated sizes, and a seed from timm's random state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from nasformer.architecture import Architecture
from nasformer.cost.geometry import Geometry
from nasformer.errors import ArchitectureError, did_you_mean
from nasformer.export.timm.model import TimmVisionTransformer
from nasformer.supernet.attention import QkvBias

_OPTIONS = (
    *("img_size", "in_chans", "num_classes", "global_pool", "drop_rate", "drop_path_rate"),
    *("qkv_bias", "seed", "device", "dtype"),
)


def build(
    name: str,
    geometry: Geometry,
    architecture: Architecture,
    supernet: Architecture | None,
    *,
    img_size: int | Sequence[int] | None = None,
    in_chans: int | None = None,
    num_classes: int | None = None,
    global_pool: str = "avg",
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    qkv_bias: QkvBias = "leading",
    seed: int | None = None,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
    **unknown: Any,
) -> TimmVisionTransformer:
    """Return a network of ``architecture`` and ``geometry``, with the given sizes overridden.

    Raises:
        ArchitectureError: An unknown option or an invalid value.
    """
    for option in unknown:
        raise ArchitectureError(f"{name} takes no option {option!r}; {did_you_mean(option, _OPTIONS)}", option)
    for option, rate in (("drop_rate", drop_rate), ("drop_path_rate", drop_path_rate)):
        if not 0 <= rate < 1:
            raise ArchitectureError(f"{option} must be at least 0 and below 1, got {rate!r}", rate)
    in_chans = geometry.in_channels if in_chans is None else in_chans
    num_classes = geometry.num_classes if num_classes is None else num_classes
    for option, count, least in (("in_chans", in_chans, 1), ("num_classes", num_classes, 0)):
        if count < least:
            raise ArchitectureError(f"{option} must be at least {least}, got {count!r}", count)
    side = geometry.image_size if img_size is None else _image_size(img_size, geometry.patch_size)
    device = torch.device(device or torch.get_default_device())
    with torch.device("meta" if device.type == "meta" else "cpu"):  # initial weights do not depend on the device
        model = TimmVisionTransformer(
            replace(geometry, image_size=side, in_channels=in_chans, num_classes=num_classes),
            architecture,
            global_pool=global_pool,
            qkv_bias=qkv_bias,
            drop_rate=drop_rate,
            drop_path_rate=drop_path_rate,
            supernet=supernet,
            seed=None if device.type == "meta" else _seed(seed),
        )
    return model.to(device, dtype)


def _image_size(img_size: int | Sequence[int], patch_size: int) -> int:
    sides = {img_size} if isinstance(img_size, int) else set(img_size)
    if len(sides) != 1 or not all(isinstance(side, int) and side > 0 and side % patch_size == 0 for side in sides):
        raise ArchitectureError(
            f"img_size must be one multiple of the patch size {patch_size} for both sides, got {img_size!r}", img_size
        )
    return sides.pop()


def _seed(seed: int | None) -> int:
    """Return the seed, or draw one from torch's global generator, which timm's scripts seed."""
    return int(torch.randint(2**62, (), device="cpu")) if seed is None else seed
