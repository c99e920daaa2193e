"""Families of a trained checkpoint: a supernet whose largest member is the checkpoint's network.

Heads, hidden units and channels are sorted by importance. Permuting them consistently leaves the function unchanged,
so the largest member equals the network; smaller members are leading slices of the most important parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from nasformer.architecture import Architecture
from nasformer.cost.geometry import Geometry, Pooling
from nasformer.errors import ArchitectureError
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.supernet.importance import Importance, gradient_importance, weight_importance
from nasformer.supernet.initialise import DEVIATION
from nasformer.supernet.layers import resample_positions
from nasformer.supernet.model import VisionTransformer

Batches = Iterable[tuple[Tensor, Tensor]]
_WIDTH_UNIT = 8
_EIGHTHS = (0, 2, 3, 4, 5, 6, 7, 8)
_LEAST_GRID = 8


@dataclass(frozen=True)
class Checkpoint:
    """A trained network of another library in our layout.

    Attributes:
        geometry: Sizes of images, patches, heads and classes, and the parts of the network.
        architecture: Sizes of the layers, equal in all of them.
        pooling: Input of the head.
        norm_eps: Epsilon of the norms.
        weights: Parameters in our names and layout.
        source: The library, the model's name and, as far as it says, ``preprocessing`` and ``classes``.
        new_head: Whether the head was initialised anew.
    """

    geometry: Geometry
    architecture: Architecture
    pooling: Pooling
    norm_eps: float
    weights: dict[str, Tensor]
    source: Mapping[str, Any] = field(default_factory=dict)
    new_head: bool = False

    def network(self) -> VisionTransformer:
        """Return the network, in evaluation mode."""
        net = VisionTransformer(
            self.geometry, self.architecture, pooling=self.pooling, qkv_bias="interleaved", seed=None
        )
        net.set_norm_eps(self.norm_eps)
        net.load_state_dict(self.weights)
        return net.eval()

    def with_head(self, num_classes: int | None, seed: int = 0) -> Checkpoint:
        """Return this network with a head for so many classes, initialised anew if it has others; None: unchanged.

        A network without a head gets the identity: its outputs are the features.
        """
        if num_classes is not None and (type(num_classes) is not int or num_classes < 1):
            raise ArchitectureError(f"num_classes is a whole number of at least 1, got {num_classes!r}", num_classes)
        weight = self.weights.get("head.weight")
        if weight is not None and num_classes in (None, len(weight)):
            return self
        width, tokens = self.architecture.embed_dim, self.geometry.pooled_tokens
        if num_classes is None:
            head, num_classes = torch.eye(tokens * width), tokens * width
        else:
            head = torch.empty(num_classes, tokens * width)
            nn.init.trunc_normal_(head, std=DEVIATION, generator=torch.Generator().manual_seed(seed))
        shaped = head if tokens == 1 else head.view(num_classes, tokens, width)
        weights = {**self.weights, "head.weight": shaped, "head.bias": torch.zeros(num_classes)}
        known = {name: value for name, value in self.source.items() if name != "classes"}
        geometry = replace(self.geometry, num_classes=num_classes)
        return replace(self, geometry=geometry, weights=weights, source=known, new_head=True)

    def at(self, image_size: int | None) -> Checkpoint:
        """Return this network for images of another size, its positions resampled as in timm; None: unchanged.

        Raises:
            ArchitectureError: The patches do not fit into such images.
        """
        g = self.geometry
        if image_size in (None, g.image_size):
            return self
        if type(image_size) is not int or image_size < g.patch_size or image_size % g.patch_size:
            raise ArchitectureError(
                f"image_size is a multiple of the patches' {g.patch_size}, got {image_size!r}", self
            )
        geometry, first = replace(g, image_size=image_size), int(g.variant.class_token)
        positions = resample_positions(self.weights["patch_embed.positions"], geometry.grid, first)
        return replace(self, geometry=geometry, weights={**self.weights, "patch_embed.positions": positions})

    def sorted_weights(self, batches: Batches | None, *, channels: bool) -> dict[str, Tensor]:
        """Return the parameters sorted by descending importance of heads and units, optionally of ``channels``.

        Args:
            batches: Batches for the gradient criterion; None: weight magnitudes.
            channels: Whether to sort the embedding channels.

        Raises:
            DataError: No batches, or one of another shape or with a class that the model has not.
        """
        net = self.network()
        importance = weight_importance(net) if batches is None else gradient_importance(net, batches)
        return _sorted(self.weights, importance, channels=channels)


def mlp_ratio(hidden: int, width: int) -> float:
    """Return a ratio that gives ``hidden`` units at a width.

    >>> [int(width * mlp_ratio(hidden, width)) for hidden, width in ((62, 48), (4304, 1152))]
    [62, 4304]
    """
    ratio = hidden / width
    return ratio if int(width * ratio) == hidden else (hidden + 0.5) / width


def suggested_space(source: Checkpoint) -> SearchSpace:
    """Return a space around a network.

    ¾, ⅞ or all of its width; in each layer none, ¼, ½, ¾ or all of its heads, and none or ¼ to all of its hidden units
    in steps of ⅛; images of ¾ or all of its size, if it has 8 or more patches in a row.
    """
    own, g = source.architecture, source.geometry
    heads, ratio = own.num_heads[0], own.mlp_ratio[0]
    widths = {min(own.embed_dim, round(own.embed_dim * k / 8 / _WIDTH_UNIT) * _WIDTH_UNIT) for k in (6, 7)}
    hidden = {int(own.embed_dim * ratio * k / 8): ratio * k / 8 for k in _EIGHTHS}
    sizes = {g.image_size, *([round(0.75 * g.grid) * g.patch_size] if g.grid >= _LEAST_GRID else [])}
    return SearchSpace(
        str(source.source.get("name") or source.source.get("format", "checkpoint")),
        embed_dim=choice(*sorted({own.embed_dim, *(width for width in widths if width)})),
        depth=own.depth,
        num_heads=per_layer(*sorted({-(-heads * k // 4) for k in range(5)})),
        mlp_ratio=per_layer(*sorted({0.0, ratio, *(each for units, each in hidden.items() if units)})),
        head_dim=g.head_dim,
        image_size=choice(*sorted(sizes)) if len(sizes) > 1 else g.image_size,
        patch_size=g.patch_size,
        in_channels=g.in_channels,
        num_classes=g.num_classes,
        pooling=source.pooling,
        max_distance=None,
        variant=g.variant,
    )


def require_supernet_sizes(source: Checkpoint, space: SearchSpace) -> None:
    """Check that a network has the sizes of a space's supernet.

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
        "number of patch sizes": (1, len(space.codec.values.get("patch_size", (1,)))),
    }
    for name, (have, need) in pairs.items():
        if have != need:
            raise ArchitectureError(
                f"the model's {name} is {have!r}, but that of the largest network of space {space.name!r} is {need!r}; "
                "declare a space around the model",
                space,
            )


def _sorted(weights: Mapping[str, Tensor], importance: Importance, *, channels: bool) -> dict[str, Tensor]:
    """Return parameters with their heads, units and channels in descending order of importance."""
    heads, units = ([_descending(each) for each in part] for part in (importance.heads, importance.units))
    width = _descending(importance.channels)
    found = {}
    for name, tensor in weights.items():
        words = name.split(".")
        if words[0] == "blocks":
            layer, part = int(words[1]), ".".join(words[2:])
            if part in ("attn.qkv.weight", "attn.qkv.bias", "attn.norm.weight", "attn.norm.bias"):
                tensor = _by_head(tensor, heads[layer], 0)
            elif part == "attn.proj.weight":
                tensor = _by_head(tensor, heads[layer], 1)
            elif words[2] == "mlp" and words[3] != "fc2":
                tensor = tensor[units[layer]]
            elif part == "mlp.fc2.weight":
                tensor = tensor[:, units[layer]]
        axis = _channel_axis(name) if channels else None
        found[name] = tensor if axis is None else tensor.index_select(axis % tensor.ndim, width)
    return found


def _descending(importance: Tensor) -> Tensor:
    """Return a stable argsort by descending importance."""
    return importance.argsort(descending=True, stable=True).cpu()


def _by_head(tensor: Tensor, order: Tensor, axis: int) -> Tensor:
    """Permute the heads of an axis, of equal parts each."""
    shape = tensor.shape
    parts = tensor.view(*shape[:axis], len(order), -1, *shape[axis + 1 :])
    return parts.index_select(axis, order).reshape(shape)


_FIRST = ("proj.weight", "proj.bias", "fc2.weight", "fc2.bias", "patch_embed.weight", "patch_embed.bias")
_LAST = ("cls_token", "registers", "positions", "qkv.weight", "kv.weight", "fc1.weight", "gate.weight", "head.weight")
_INNER = (".q_norm.", ".k_norm.", ".attn.norm.", ".mlp.norm.")


def _channel_axis(name: str) -> int | None:
    """Return the axis of a parameter that holds the embedding channels; None: none does."""
    if name.endswith(_LAST):
        return -1
    norm = "norm." in name and not any(part in name for part in _INNER)
    return 0 if norm or name.endswith(_FIRST) else None
