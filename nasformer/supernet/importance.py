"""Importance of a ViT's heads, hidden units and channels: criteria for sorting them.

With images: the absolute gradient of the loss with respect to a gate, a first-order estimate of the effect of removal
(Michel et al., "Are Sixteen Heads Really Better than One?", NeurIPS 2019, equation 2; Molchanov et al., CVPR 2019, for
units). Without: the L1 norm of outgoing weights (as Once-for-All sorts channels, Cai et al., ICLR 2020).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasformer.errors import DataError, shown
from nasformer.supernet.model import VisionTransformer


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


def weight_importance(net: VisionTransformer) -> Importance:
    """Return the L1 norm of the outgoing weights of each head, unit and channel of a network without skips."""
    blocks: Any = net.blocks
    with torch.no_grad():
        heads = [_outgoing(b.attn.proj).view(n, -1).sum(1) for b, n in zip(blocks, _heads(net), strict=True)]
        units = [_outgoing(block.mlp.fc2) for block in blocks]
        channels = sum((_scaled(norm, reader) for norm, reader in _readers(net)), torch.zeros(()))
    return Importance(heads, units, channels)


def _heads(net: VisionTransformer) -> tuple[int, ...]:
    return net.architecture.num_heads


def _outgoing(linear: Any) -> Tensor:
    norms: Tensor = linear.weight.abs().sum(0)
    return norms


def _scaled(norm: nn.Module, reader: Tensor) -> Tensor:
    """Return the L1 norm of the weights ``(..., embed_dim)`` of each channel, times the norm's scale before them."""
    scale: Any = getattr(norm, "weight", None)
    total = reader.abs().flatten(0, -2).sum(0)
    return total if scale is None else total * scale.abs()


def _readers(net: VisionTransformer) -> Iterator[tuple[nn.Module, Tensor]]:
    """Yield each norm and the weights that read its channels."""
    blocks: Any = net.blocks
    for block in blocks:
        yield block.attn_norm, block.attn.qkv.weight
        yield block.mlp_norm, block.mlp.fc1.weight
        if block.mlp.gate is not None:
            yield block.mlp_norm, block.mlp.gate.weight
    if net.pooling == "map":
        yield net.norm, net.attn_pool.kv.weight
        yield net.attn_pool.norm, net.attn_pool.mlp.fc1.weight
    yield (net.norm if isinstance(net.fc_norm, nn.Identity) else net.fc_norm), net.head.weight


def gradient_importance(net: VisionTransformer, batches: Iterable[tuple[Tensor, Tensor]]) -> Importance:
    """Return the sum over images of the absolute gradient of the loss by a gate on each head, unit and channel.

    Args:
        net: A network without skips; unchanged.
        batches: Images ``(batch, channels, height, width)`` and labels ``(batch,)``.

    Raises:
        DataError: No batches, or one that is not finite images and classes of the model.
    """
    total, images = Importance([], [], torch.zeros(())), 0
    training, place = net.training, next(net.parameters())
    net.eval()
    try:
        for batch in batches:
            inputs, labels = _checked(net, batch)
            found = _batch_importance(net, inputs.to(place), labels.to(place.device))
            total, images = _sum(total, found) if images else found, images + len(labels)
    finally:
        net.train(training)
    if not images:
        raise DataError("importance needs at least one batch of images, got none", batches)
    return total


def _checked(net: VisionTransformer, batch: Any) -> tuple[Tensor, Tensor]:
    """Return the images and labels of a batch.

    Raises:
        DataError: They are none of the network.
    """
    if not (isinstance(batch, (tuple, list)) and len(batch) == 2 and all(isinstance(part, Tensor) for part in batch)):
        raise DataError(f"batches are pairs (images, labels) of tensors, got {type(batch).__name__}", batch)
    images, labels = batch
    wanted, classes = net.geometry.input_shape, net.geometry.num_classes
    if tuple(images.shape[1:]) != wanted or labels.shape != images.shape[:1] or not len(images):
        raise DataError(
            f"batches are images (batch, {', '.join(map(str, wanted))}) and labels (batch,), got "
            f"{tuple(images.shape)} and {tuple(labels.shape)}",
            batch,
        )
    if not images.is_floating_point() or not images.isfinite().all():
        found = "NaN or infinite values" if images.is_floating_point() else images.dtype
        raise DataError(f"images are finite floating-point numbers, got {found}", batch)
    if labels.is_floating_point() or not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise DataError(f"labels are classes from 0 to {classes - 1}, got {shown(labels.tolist())}", batch)
    return images, labels


def _batch_importance(net: VisionTransformer, images: Tensor, labels: Tensor) -> Importance:
    """Return the absolute gradients summed over a batch."""
    count, blocks = len(images), list[Any](net.blocks)
    heads = [images.new_ones(count, 1, number, 1).requires_grad_() for number in _heads(net)]
    units = [images.new_ones(count, 1, hidden).requires_grad_() for hidden in net.architecture.hidden_dims]
    channels = images.new_ones(count, 1, net.architecture.embed_dim).requires_grad_()
    with ExitStack() as hooks, torch.enable_grad():
        for block, head, unit in zip(blocks, heads, units, strict=True):
            hooks.enter_context(block.attn.proj.register_forward_pre_hook(_gated(head)))
            hooks.enter_context(block.mlp.fc2.register_forward_pre_hook(_gated(unit)))
        for norm in dict.fromkeys(norm for norm, _ in _readers(net)):
            hooks.enter_context(norm.register_forward_hook(_gated_output(channels)))
        loss = F.cross_entropy(net(images).float(), labels, reduction="sum")
        sizes = [gradient.abs().sum(0).flatten() for gradient in torch.autograd.grad(loss, [*heads, *units, channels])]
    depth = len(heads)
    return Importance(sizes[:depth], sizes[depth:-1], sizes[-1])


def _gated(gate: Tensor) -> Callable[..., tuple[Any, ...]]:
    """Return a hook that multiplies the input ``(batch, tokens, width)`` by gates on heads or units."""

    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        x, *rest = inputs
        parts = x.view(*x.shape[:2], gate.shape[2], -1) if gate.ndim == 4 else x
        return ((parts * gate).view_as(x), *rest)

    return hook


def _gated_output(gate: Tensor) -> Callable[..., Tensor]:
    """Return a hook that multiplies the output ``(batch, tokens, width)`` or ``(batch, width)`` by gates."""

    def hook(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        return output * (gate if output.ndim == 3 else gate[:, 0])

    return hook


def _sum(one: Importance, other: Importance) -> Importance:
    heads = [a + b for a, b in zip(one.heads, other.heads, strict=True)]
    units = [a + b for a, b in zip(one.units, other.units, strict=True)]
    return Importance(heads, units, one.channels + other.channels)
