"""Sliced layers: maximal layers that run at any smaller size on leading slices of their weights.

AutoFormer's weight entanglement (Chen et al., ICCV 2021, section 3.1): the weights of each width are the leading rows
and columns of one maximal weight, as views without copies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasformer.architecture import Layer
from nasformer.cost.variant import PLAIN, Variant

LAYER_NORM_EPS = 1e-5
"""AutoFormer's epsilon; imported networks keep their own."""


class SlicedLinear(nn.Module):
    """A linear layer that runs on its leading inputs and outputs.

    Args:
        in_features: Maximal number of inputs.
        out_features: Maximal number of outputs.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_features, in_features))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor, out_features: int) -> Tensor:
        """Map ``(..., in)`` to ``(..., out_features)`` for any ``in`` up to ``in_features``."""
        return F.linear(x, self.weight[:out_features, : x.shape[-1]], self.bias[:out_features])


class SlicedLayerNorm(nn.Module):
    """A layer norm that runs on its leading features.

    Args:
        embed_dim: Maximal number of features.
    """

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(embed_dim))
        self.bias = nn.Parameter(torch.zeros(embed_dim))
        self.eps = LAYER_NORM_EPS

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension of ``(..., embed_dim)``."""
        width = x.shape[-1]
        return F.layer_norm(x, (width,), self.weight[:width], self.bias[:width], self.eps)


class SlicedRmsNorm(nn.Module):
    """A root mean square norm (Zhang and Sennrich, NeurIPS 2019) that runs on its leading features.

    Args:
        embed_dim: Maximal number of features.
    """

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(embed_dim))
        self.eps = LAYER_NORM_EPS

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension of ``(..., embed_dim)``."""
        width = x.shape[-1]
        return F.rms_norm(x, (width,), self.weight[:width], self.eps)


NORMS: dict[str, type[SlicedLayerNorm] | type[SlicedRmsNorm]] = {"layer": SlicedLayerNorm, "rms": SlicedRmsNorm}
"""The norms by the names of ``Variant.norm``."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),  # Hendrycks and Gimpel, arXiv 1606.08415
    "silu": F.silu,
}
"""The activations by the names of ``Variant.activation``."""


class SlicedMlp(nn.Module):
    """The transformer's MLP, which runs on its leading hidden units.

    Args:
        embed_dim: Maximal number of inputs and outputs.
        hidden_dim: Maximal number of hidden units.
        variant: Activation, gate and norm.
    """

    def __init__(self, embed_dim: int, hidden_dim: int, *, variant: Variant = PLAIN) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[variant.activation]
        self.fc1 = SlicedLinear(embed_dim, hidden_dim)
        self.gate = SlicedLinear(embed_dim, hidden_dim) if variant.gated_mlp else None
        self.norm = NORMS[variant.norm](hidden_dim) if variant.scale_norms else None
        self.fc2 = SlicedLinear(hidden_dim, embed_dim)

    def forward(self, x: Tensor, layer: Layer) -> Tensor:
        """Map ``(batch, tokens, embed_dim)`` to the same shape through ``layer.hidden_dim`` units."""
        return self.run(x, layer.hidden_dim)

    def run(self, x: Tensor, hidden_dim: int) -> Tensor:
        """Map ``(..., embed_dim)`` to the same shape through ``hidden_dim`` units."""
        hidden, gate = self.fc1(x, hidden_dim), self.gate
        hidden = self.activation(hidden) if gate is None else self.activation(gate(x, hidden_dim)) * hidden
        hidden = hidden if self.norm is None else self.norm(hidden)
        out: Tensor = self.fc2(hidden, x.shape[-1])
        return out


class AttentionPool(nn.Module):
    """Multi-head attention pooling: one learnt query over the patches, then an MLP (Lee et al., ICML 2019).

    Only the width of the tokens varies; heads and hidden units are those of the variant.

    Args:
        embed_dim: Maximal width of the tokens.
        head_dim: Width of one head.
        variant: Heads, hidden units, norm and activation.
    """

    def __init__(self, embed_dim: int, *, head_dim: int, variant: Variant) -> None:
        super().__init__()
        heads = variant.pool_heads
        self.query = nn.Parameter(torch.zeros(1, heads, 1, head_dim))
        self.kv = SlicedLinear(embed_dim, 2 * heads * head_dim)
        self.proj = SlicedLinear(heads * head_dim, embed_dim)
        self.norm = NORMS[variant.norm](embed_dim)
        self.mlp = SlicedMlp(
            embed_dim, variant.pool_hidden, variant=replace(variant, scale_norms=False, gated_mlp=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens ``(batch, tokens, embed_dim)`` to ``(batch, embed_dim)``."""
        (batch, tokens, embed_dim), (_, heads, _, head_dim) = x.shape, self.query.shape
        k, v = self.kv(x, 2 * heads * head_dim).view(batch, tokens, 2, heads, head_dim).permute(2, 0, 3, 1, 4)
        query = self.query.to(k.dtype).expand(batch, -1, -1, -1)
        attended = F.scaled_dot_product_attention(query, k, v)  # (batch, heads, 1, head_dim)
        pooled: Tensor = self.proj(attended.flatten(1), embed_dim)
        pooled = pooled + self.mlp.run(self.norm(pooled), self.mlp.fc1.weight.shape[0])
        return pooled


class SlicedFlattenHead(nn.Module):
    """A linear layer over all patches, concatenated, that runs on their leading features.

    Args:
        patches: Number of patches.
        out_features: Number of outputs.
        embed_dim: Maximal number of features of a patch.
    """

    def __init__(self, patches: int, out_features: int, embed_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(out_features, patches, embed_dim))
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor, out_features: int) -> Tensor:
        """Map ``(batch, patches, embed_dim)`` to ``(batch, out_features)``."""
        weight = self.weight[:out_features, :, : x.shape[-1]]
        return F.linear(x.flatten(1), weight.flatten(1), self.bias[:out_features])


class SlicedPatchEmbedding(nn.Module):
    """Patch embedding of images or series, with a cls token and absolute positions.

    The convolution is one matrix product over the patches. Positions are resampled to the grid of smaller images.

    Args:
        in_channels: Channels of the input.
        patch_size: Height and width of a patch, in pixels; of a series in time steps.
        patches: Patches per input.
        embed_dim: Maximal embedding dimension.
        axes: 2 for images, 1 for series.
        stride: Time steps between the patches of a series; None: ``patch_size``, as for images.
        variant: Class token, registers and norms.
    """

    def __init__(
        self,
        in_channels: int,
        patch_size: int,
        patches: int,
        embed_dim: int,
        *,
        axes: int = 2,
        stride: int | None = None,
        variant: Variant = PLAIN,
    ) -> None:
        super().__init__()
        self.patch_size, self.axes, self.stride = patch_size, axes, stride or patch_size
        self.weight = nn.Parameter(torch.zeros(embed_dim, in_channels, *(patch_size,) * axes))
        self.bias = nn.Parameter(torch.zeros(embed_dim))
        tokens, norm = int(variant.class_token), NORMS[variant.norm]
        self.norm = norm(embed_dim) if variant.patch_norm else None
        self.pre_norm = norm(embed_dim) if variant.pre_norm else None
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim)) if tokens else None
        self.registers = nn.Parameter(torch.zeros(1, variant.registers, embed_dim)) if variant.registers else None
        self.positions = nn.Parameter(torch.zeros(1, patches + tokens, embed_dim))

    def forward(self, inputs: Tensor, embed_dim: int) -> Tensor:
        """Map ``(batch, channels, height, width)`` or ``(batch, channels, length)`` to tokens.

        Returns:
            ``(batch, tokens, embed_dim)``: the class token, registers and patches.
        """
        patches = self._series_patches(inputs) if self.axes == 1 else self._image_patches(inputs)
        # patches: (batch, patches, patch_dim), in the order of the weight's last dimensions
        x = F.linear(patches, self.weight[:embed_dim].flatten(1), self.bias[:embed_dim])
        x = x if self.norm is None else self.norm(x)
        positions, grid = self.positions[:, :, :embed_dim], inputs.shape[2] // self.patch_size
        first = 0 if self.cls_token is None else 1
        positions = positions if self.axes == 1 else resample_positions(positions, grid, first)
        if self.cls_token is not None:
            x = torch.cat((self._expanded(self.cls_token, x), x), dim=1)
        x = x + positions.to(x.dtype)
        if self.registers is not None:
            x = torch.cat((x[:, :first], self._expanded(self.registers, x), x[:, first:]), dim=1)
        return x if self.pre_norm is None else self.pre_norm(x)

    def _expanded(self, tokens: Tensor, x: Tensor) -> Tensor:
        return tokens[:, :, : x.shape[-1]].expand(x.shape[0], -1, -1).to(x.dtype)

    def _image_patches(self, images: Tensor) -> Tensor:
        (batch, channels, height, width), p = images.shape, self.patch_size
        grid = images.reshape(batch, channels, height // p, p, width // p, p)
        return grid.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * p * p)

    def _series_patches(self, series: Tensor) -> Tensor:
        windows = series.unfold(2, self.patch_size, self.stride)  # (batch, channels, patches, patch_size)
        return windows.transpose(1, 2).flatten(2)


def resample_positions(positions: Tensor, grid: int, first: int = 1) -> Tensor:
    """Resample an image's positions ``(1, first + rows², embed_dim)`` to ``(1, first + grid², embed_dim)``.

    The ``first`` ones, of the class token, are unchanged.

    Bicubic with antialiasing, as in timm (Dosovitskiy et al., ICLR 2021, section 3.2).
    """
    rows = math.isqrt(positions.shape[1] - first)
    if rows == grid:
        return positions
    from timm.layers.pos_embed import resample_abs_pos_embed

    other: Tensor = resample_abs_pos_embed(positions, [grid, grid], [rows, rows], num_prefix_tokens=first)
    return other


def resize_images(images: Tensor, image_size: int) -> Tensor:
    """Resize images ``(batch, channels, height, width)`` to ``image_size`` pixels a side, bicubic with antialiasing."""
    if images.shape[-1] == image_size:
        return images
    size = (image_size, image_size)
    other = F.interpolate(images.float(), size, mode="bicubic", align_corners=False, antialias=True)
    return other.to(images.dtype)  # bfloat16 is not implemented on CPUs


class Shard(NamedTuple):
    """The rows of a global batch that a tensor holds.

    Attributes:
        joint: Size of the global batch.
        rows: Indices in the global batch, ``(batch,)``.
    """

    joint: int
    rows: Tensor


def drop_path(x: Tensor, rate: float, training: bool, shard: Shard | None = None) -> Tensor:
    """Stochastic depth: drop a residual branch per sample (Huang et al., 2016) and rescale the rest.

    Args:
        x: A branch's output ``(batch, ...)``.
        rate: Drop probability.
        training: Whether to drop.
        shard: Rows of ``x`` in a global batch, whose random numbers are drawn in full; None: the whole batch.
    """
    if not training or rate == 0.0:
        return x
    batch = x.shape[0] if shard is None else shard.joint
    keep = x.new_empty((batch,) + (1,) * (x.ndim - 1)).bernoulli_(1.0 - rate)
    if shard is not None:
        keep = keep[shard.rows]
    return x * keep.div_(1.0 - rate)
