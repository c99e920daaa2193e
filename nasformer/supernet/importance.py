"""Importance of a ViT's heads, hidden units and channels: criteria for sorting them.

With images: the absolute gradient of the loss with respect to a gate, a first-order estimate of the effect of removal
(Michel et al., "Are Sixteen Heads Really Better than One?", NeurIPS 2019, equation 2; Molchanov et al., CVPR 2019, for
units). Without: the L1 norm of outgoing weights (as Once-for-All sorts channels, Cai et al., ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasformer.errors import DataError, shown


@dataclass(frozen=True)
class Importance:
    """Importance scores of a ViT.

    Attributes:
        heads: Heads of each layer, ``(num_heads,)``.
        units: Hidden units of each layer, ``(hidden_dim,)``.
        channels: Embedding channels, ``(embed_dim,)``.
    """

    heads: list[Tensor]
    units: list[Tensor]
    channels: Tensor


def weight_importance(model: Any) -> Importance:
    """Return the L1 norm of the outgoing weights of each head, unit and channel.

    Args:
        model: A timm ViT.
    """
    with torch.no_grad():
        heads = [_input_norms(b.attn.proj, b.ls1).view(b.attn.num_heads, -1).sum(1) for b in model.blocks]
        units = [_input_norms(b.mlp.fc2, b.ls2) for b in model.blocks]
        readers = [(b.norm1, b.attn.qkv) for b in model.blocks] + [(b.norm2, b.mlp.fc1) for b in model.blocks]
        readers.append((model.norm, model.head))
        channels = sum(linear.weight.abs().sum(0) * norm.weight.abs() for norm, linear in readers)
    return Importance(heads, units, channels)


def _input_norms(linear: nn.Linear, scale: nn.Module) -> Tensor:
    """Return the L1 norm of each input's weights, layer scale included."""
    gamma: Tensor | None = getattr(scale, "gamma", None)
    magnitudes = linear.weight.abs()
    return (magnitudes if gamma is None else magnitudes * gamma.abs()[:, None]).sum(0)


def gradient_importance(model: Any, batches: Iterable[tuple[Tensor, Tensor]]) -> Importance:
    """Return the sum over images of the absolute gradient of the loss by a gate on each head, unit and channel.

    Args:
        model: A timm ViT; unchanged.
        batches: Images ``(batch, channels, height, width)`` and labels ``(batch,)``.

    Raises:
        DataError: No batches, or one that is not finite images and classes of the model.
    """
    total, images = Importance([], [], torch.zeros(())), 0
    training, place = model.training, next(model.parameters())
    model.eval()
    try:
        for batch in batches:
            inputs, labels = _checked(model, batch)
            found = _batch_importance(model, inputs.to(place), labels.to(place.device))
            total, images = _sum(total, found) if images else found, images + len(labels)
    finally:
        model.train(training)
    if not images:
        raise DataError("importance needs at least one batch of images, got none", batches)
    return total


def _checked(model: Any, batch: Any) -> tuple[Tensor, Tensor]:
    """Return the images and labels of a batch.

    Raises:
        DataError: They are none of the model.
    """
    if not (isinstance(batch, (tuple, list)) and len(batch) == 2 and all(isinstance(part, Tensor) for part in batch)):
        raise DataError(f"batches are pairs (images, labels) of tensors, got {type(batch).__name__}", batch)
    images, labels = batch
    wanted = (model.patch_embed.proj.in_channels, *model.patch_embed.img_size)
    if tuple(images.shape[1:]) != wanted or labels.shape != images.shape[:1] or not len(images):
        raise DataError(
            f"batches are images (batch, {', '.join(map(str, wanted))}) and labels (batch,), got "
            f"{tuple(images.shape)} and {tuple(labels.shape)}",
            batch,
        )
    if not images.is_floating_point() or not images.isfinite().all():
        found = "NaN or infinite values" if images.is_floating_point() else images.dtype
        raise DataError(f"images are finite floating-point numbers, got {found}", batch)
    if labels.is_floating_point() or not 0 <= int(labels.min()) <= int(labels.max()) < model.num_classes:
        raise DataError(f"labels are classes from 0 to {model.num_classes - 1}, got {shown(labels.tolist())}", batch)
    return images, labels


def _batch_importance(model: Any, images: Tensor, labels: Tensor) -> Importance:
    """Return the absolute gradients summed over a batch."""
    count = len(images)
    heads = [images.new_ones(count, 1, b.attn.num_heads, 1).requires_grad_() for b in model.blocks]
    units = [images.new_ones(count, 1, b.mlp.fc2.in_features).requires_grad_() for b in model.blocks]
    channels = images.new_ones(count, 1, model.embed_dim).requires_grad_()
    with ExitStack() as hooks, torch.enable_grad():
        for block, head, unit in zip(model.blocks, heads, units, strict=True):
            hooks.enter_context(block.attn.proj.register_forward_pre_hook(_gated(head)))
            hooks.enter_context(block.mlp.fc2.register_forward_pre_hook(_gated(unit)))
        for norm in (model.norm, *(norm for block in model.blocks for norm in (block.norm1, block.norm2))):
            hooks.enter_context(norm.register_forward_hook(_gated_output(channels)))
        loss = F.cross_entropy(model(images).float(), labels, reduction="sum")
        sizes = [gradient.abs().sum(0).flatten() for gradient in torch.autograd.grad(loss, [*heads, *units, channels])]
    depth = len(heads)
    return Importance(sizes[:depth], sizes[depth:-1], sizes[-1])


def _gated(gate: Tensor) -> Callable[..., tuple[Tensor]]:
    """Return a hook that multiplies the input ``(batch, tokens, width)`` by gates on heads or units."""

    def hook(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        (x,) = inputs
        parts = x.view(*x.shape[:2], gate.shape[2], -1) if gate.ndim == 4 else x
        return ((parts * gate).view_as(x),)

    return hook


def _gated_output(gate: Tensor) -> Callable[..., Tensor]:
    def hook(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        return output * gate

    return hook


def _sum(one: Importance, other: Importance) -> Importance:
    heads = [a + b for a, b in zip(one.heads, other.heads, strict=True)]
    units = [a + b for a, b in zip(one.units, other.units, strict=True)]
    return Importance(heads, units, one.channels + other.channels)
