"""Adaptation of a trained network to other outputs and another resolution.

A head for other outputs is initialised anew. Absolute positions are resampled to the new grid, bicubically, as in ViT
and DeiT (Dosovitskiy et al., ICLR 2021, section 3.2). Relative position tables are extended for larger grids: new
offsets are initialised with the furthest trained one, which initially equals clipping.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from nasformer.cost.geometry import Geometry
from nasformer.errors import DataError
from nasformer.supernet.initialise import DEVIATION
from nasformer.supernet.layers import resample_positions
from nasformer.supernet.model import VisionTransformer


def adapted(
    net: VisionTransformer,
    *,
    num_classes: int | None = None,
    image_size: int | None = None,
    new_head: bool = False,
    seed: int = 0,
) -> VisionTransformer:
    """Return a copy of a network for other outputs or another image size.

    Args:
        net: The network.
        num_classes: Number of outputs; a different number gets a new head; None: unchanged.
        image_size: Height and width of the images; None: unchanged.
        new_head: Whether the head is initialised anew also for as many classes.
        seed: Random seed of a new head.

    Raises:
        DataError: The patch size does not divide the image size, or the network reads series or all patches.

    >>> from nasformer.architecture import uniform
    >>> net = VisionTransformer(Geometry(num_classes=10), uniform(32, 1, 1, 1))
    >>> large = adapted(net, num_classes=3, image_size=384)
    >>> large.geometry.grid, large.geometry.max_distance, large.head.weight.shape
    (24, 23, torch.Size([3, 32]))
    """
    old = net.geometry
    geometry = _geometry(old, num_classes or old.num_classes, image_size or old.image_size)
    rate = net.drop_path_rates[-1]
    options = {"pooling": net.pooling, "qkv_bias": net.qkv_bias}
    architecture = net.architecture
    if "image_size" in dict(architecture.network):
        architecture = architecture.replace(image_size=geometry.image_size)
    new = VisionTransformer(geometry, architecture, **options, drop_path=rate, seed=None)  # type: ignore[arg-type]
    new.set_norm_eps(net.norm_eps)
    new.family = net.family
    new.to(next(net.parameters())).train(net.training)
    weights = net.state_dict()
    if new_head or geometry.num_classes != old.num_classes:
        weights |= _new_head(new.head.weight, seed)
    if geometry.grid != old.grid:
        first = int(geometry.variant.class_token)
        weights["patch_embed.positions"] = resample_positions(weights["patch_embed.positions"], geometry.grid, first)
    for name in weights:
        if name.endswith("relative_positions"):
            weights[name] = _extended(weights[name], old, geometry)
    new.load_state_dict(weights)
    return new


def _geometry(old: Geometry, num_classes: int, image_size: int) -> Geometry:
    if image_size == old.image_size:
        return replace(old, num_classes=num_classes)
    if old.axes != 2 or old.flatten:
        kind = "series" if old.axes != 2 else "all patches (pooling 'flatten')"
        raise DataError(
            f"a network of {kind} keeps its size {old.image_size}, got {image_size}; retrain it", image_size
        )
    if image_size % old.patch_size:
        raise DataError(f"patches of {old.patch_size} pixels do not fit into images of {image_size}", image_size)
    distance, grid = old.max_distance, image_size // old.patch_size
    if distance is not None and distance >= old.grid - 1:  # no offset was clipped, and none will be
        distance = max(distance, grid - 1)
    return replace(old, num_classes=num_classes, image_size=image_size, max_distance=distance)


def _new_head(like: Tensor, seed: int) -> dict[str, Tensor]:
    weight = torch.empty(like.shape)
    nn.init.trunc_normal_(weight, std=DEVIATION, generator=torch.Generator().manual_seed(seed))
    return {"head.weight": weight.to(like), "head.bias": torch.zeros(len(like)).to(like)}


def _extended(tables: Tensor, old: Geometry, new: Geometry) -> Tensor:
    """Map tables ``(2, 2, rows, head_dim)``, row 0 for cls and then one per offset, to the new rows."""
    distance, before = new.max_distance or 0, old.max_distance or 0
    if distance == before:
        return tables
    seen = min(before, old.grid - 1)
    offsets = torch.arange(-distance, distance + 1).clamp(-seen, seen)
    rows = torch.cat((torch.zeros(1, dtype=torch.long), offsets + before + 1))
    return tables[:, :, rows.to(tables.device)]
