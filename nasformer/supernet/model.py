"""VisionTransformer: AutoFormer's network, which also runs every smaller architecture.

Chen et al., ICCV 2021. Pre-norm blocks, exact GELU, relative positions on keys and values, absolute positions, a cls
token, and mean pooling over the patches (or the cls token). The architecture is an argument of the forward pass;
modules hold no active choice. With several patch sizes or resolutions, each patch size has its own embedding and
positions; images and positions are resampled to the resolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nasformer.architecture import Architecture, Layer
from nasformer.cost.geometry import Geometry
from nasformer.errors import ArchitectureError, CheckpointError, DataError, NasformerError
from nasformer.supernet.attention import QkvBias
from nasformer.supernet.block import Block
from nasformer.supernet.checkpoint import fill, read_checkpoint, write_checkpoint
from nasformer.supernet.initialise import initialise
from nasformer.supernet.layers import (
    LAYER_NORM_EPS,
    Shard,
    SlicedLayerNorm,
    SlicedLinear,
    SlicedPatchEmbedding,
    resample_positions,
    resize_images,
)
from nasformer.supernet.relative_position import PatchGrid
from nasformer.supernet.sharing import ENTANGLED, Sharing

Pooling = Literal["mean", "cls"]


class VisionTransformer(nn.Module):
    """A vision transformer of one architecture, which also runs every smaller one on leading slices.

    Args:
        geometry: Sizes of images, patches, heads and classes.
        architecture: Sizes of the layers.
        pooling: Input of the head: the mean over the patches, or the cls token.
        qkv_bias: Slice of the qkv bias that fewer heads use.
        drop_path: Stochastic depth rate of the last layer; it grows linearly from 0.
        seed: Random seed of the weights; None leaves linear weights zero, to be loaded.
        sharing: Weight sharing scheme.
        patch_sizes: Choices of the patch size; empty: only the geometry's.
        image_sizes: Choices of the image size; empty: only the geometry's.

    Raises:
        ArchitectureError: An unknown ``pooling`` or ``qkv_bias``.

    >>> from nasformer.architecture import uniform
    >>> geometry = Geometry(image_size=8, patch_size=2, in_channels=1, num_classes=10, head_dim=16, max_distance=3)
    >>> net = VisionTransformer(geometry, uniform(64, 4, 4, 3))
    >>> images = torch.zeros(5, 1, 8, 8)
    >>> net(images).shape, net(images, uniform(32, 2, 2, 1)).shape
    (torch.Size([5, 10]), torch.Size([5, 10]))
    """

    def __init__(
        self,
        geometry: Geometry,
        architecture: Architecture,
        *,
        pooling: Pooling = "mean",
        qkv_bias: QkvBias = "leading",
        drop_path: float = 0.0,
        seed: int | None = 0,
        sharing: Sharing = ENTANGLED,
        patch_sizes: Sequence[int] = (),
        image_sizes: Sequence[int] = (),
    ) -> None:
        super().__init__()
        require_option("pooling", pooling, get_args(Pooling))
        require_option("qkv_bias", qkv_bias, get_args(QkvBias))
        g, embed_dim = geometry.of(architecture), architecture.embed_dim
        self.geometry, self.architecture, self.pooling, self.qkv_bias = g, architecture, pooling, qkv_bias
        self.sharing = sharing
        self.patch_sizes = tuple(patch_sizes) or (g.patch_size,)
        self.image_sizes = tuple(image_sizes) or (g.image_size,)
        self.patch_embed: Any = self._patch_embeddings()
        self.grids = self._patch_grids()
        self.drop_path_rates = _linspace(drop_path, architecture.depth)
        self.blocks = nn.ModuleList(
            Block(g, embed_dim, layer, qkv_bias=qkv_bias, drop_path=rate, sharing=sharing)
            for layer, rate in zip(architecture.layers, self.drop_path_rates, strict=True)
        )
        self.grad_checkpointing = False
        self.norm = sharing.by_width(SlicedLayerNorm, embed_dim)
        self.head = sharing.by_width(partial(SlicedLinear, out_features=g.num_classes), embed_dim)
        if seed is not None:
            initialise(self, seed)

    def _patch_embeddings(self) -> nn.Module:
        """Return the patch embedding, or one per patch size."""
        g, width, found = self.geometry, self.architecture.embed_dim, dict[str, nn.Module]()
        for size in self.patch_sizes:
            patches = replace(g, patch_size=size).patches
            found[str(size)] = self.sharing.by_width(partial(SlicedPatchEmbedding, g.in_channels, size, patches), width)
        return nn.ModuleDict(found) if len(found) > 1 else found[str(g.patch_size)]

    def _patch_grids(self) -> nn.ModuleDict:
        """Return the relative position tables of each grid, by its size."""
        g = self.geometry
        grids = sorted({size // patch for size in self.image_sizes for patch in self.patch_sizes})
        if g.max_distance is None:
            return nn.ModuleDict()
        return nn.ModuleDict({str(grid): PatchGrid(grid, g.max_distance, g.head_dim) for grid in grids})

    def forward(self, images: Tensor, architecture: Architecture | None = None, shard: Shard | None = None) -> Tensor:
        """Return the logits ``(batch, num_classes)`` of ``images`` ``(batch, channels, height, width)``.

        Args:
            images: Images of the geometry's size; of any size if the resolution is searched.
            architecture: The subnet to run; None: the whole network.
            shard: Rows of a global batch, for the same drop-path as there; None: the whole batch.

        Raises:
            ArchitectureError: ``architecture`` is larger than this network.
            DataError: ``images`` have another shape.
        """
        return self.classify(self.forward_features(images, architecture, shard))

    def classify(self, tokens: Tensor) -> Tensor:
        """Map normalised tokens ``(batch, tokens, embed_dim)`` to logits ``(batch, num_classes)``."""
        pooled = tokens[:, 1:].mean(dim=1) if self.pooling == "mean" else tokens[:, 0]
        logits: Tensor = self.head(pooled, self.geometry.num_classes)
        return logits

    def forward_features(
        self, images: Tensor, architecture: Architecture | None = None, shard: Shard | None = None
    ) -> Tensor:
        """Return the normalised tokens ``(batch, tokens, embed_dim)``, cls token first."""
        if architecture is None:
            architecture = self.architecture
        elif architecture != self.architecture:
            self.require(architecture)
        x, grid = self.embed(images, architecture), self.patch_grid(architecture)
        for block, layer in zip(self.blocks, architecture.layers, strict=False):
            x = self.run_block(cast(Block, block), x, layer, grid, shard)
        tokens: Tensor = self.norm(x)
        return tokens

    def embed(self, images: Tensor, architecture: Architecture) -> Tensor:
        """Embed images ``(batch, channels, height, width)`` as the input tokens of an architecture's first layer.

        Raises:
            DataError: ``images`` have another shape.
        """
        g = self.geometry.of(architecture)
        self.check_images(images)
        embedding = self.patch_embed[str(g.patch_size)] if len(self.patch_sizes) > 1 else self.patch_embed
        tokens: Tensor = embedding(resize_images(images, g.image_size), architecture.embed_dim)
        return tokens

    def patch_grid(self, architecture: Architecture) -> PatchGrid | None:
        """Return the relative position tables of an architecture's grid; None: no relative positions."""
        return cast(PatchGrid, self.grids[str(self.geometry.of(architecture).grid)]) if len(self.grids) else None

    def run_block(
        self, block: Block, x: Tensor, layer: Layer, grid: PatchGrid | None, shard: Shard | None = None
    ) -> Tensor:
        """Run one block on ``(batch, tokens, embed_dim)``, with activation checkpointing if enabled."""
        if not (self.grad_checkpointing and torch.is_grad_enabled()):
            return cast(Tensor, block(x, layer, grid, shard))
        return cast(Tensor, checkpoint(block, x, layer, grid, shard, use_reentrant=False))

    def require(self, architecture: Architecture) -> None:
        """Raise ArchitectureError, naming the dimension, unless ``architecture`` fits into this network."""
        own = self.architecture
        _check_at_most("embed_dim", architecture.embed_dim, own.embed_dim)
        _check_at_most("depth", architecture.depth, own.depth)
        for layer, (wanted, most) in enumerate(zip(architecture.layers, own.layers, strict=False)):
            _check_at_most("num_heads", wanted.num_heads, most.num_heads, layer)
            _check_at_most("MLP width", wanted.hidden_dim, most.hidden_dim, layer)
            for name, limit in most.further:
                if not hasattr(wanted, name):
                    raise ArchitectureError(f"the architecture lacks {name}, which this network has", architecture)
                _check_at_most(name, getattr(wanted, name), limit, layer)
            for name, _ in wanted.further:
                if not hasattr(most, name):
                    raise ArchitectureError(f"this network has no {name}; remove it", architecture)
        for name in ("patch_size", "image_size"):
            if hasattr(own, name) and len(getattr(self, f"{name}s")) > 1 and not hasattr(architecture, name):
                raise ArchitectureError(f"the architecture lacks {name}, which this network has", architecture)
        g = self.geometry.of(architecture)
        for name, value, known in (
            ("patch_size", g.patch_size, self.patch_sizes),
            ("image_size", g.image_size, self.image_sizes),
        ):
            if value not in known:
                sizes = ", ".join(map(str, known))
                raise ArchitectureError(f"{name} is {value}, but this network has {sizes}; take one of these", value)
        self.sharing.require(architecture)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Toggle activation checkpointing: the backward pass recomputes each block from its input.

        Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016. Gradients are unchanged.
        """
        self.grad_checkpointing = enable

    def set_drop_path(self, last: float) -> None:
        """Set the stochastic depth rate of the last layer; it grows linearly from 0."""
        self.drop_path_rates = _linspace(last, self.architecture.depth)
        for block, rate in zip(self.blocks, self.drop_path_rates, strict=True):
            cast(Block, block).drop_path = rate

    @property
    def norm_eps(self) -> float:
        """Epsilon of the layer norms."""
        return next(module.eps for module in self.modules() if isinstance(module, SlicedLayerNorm))

    def set_norm_eps(self, eps: float) -> None:
        """Set the epsilon of the layer norms."""
        for module in self.modules():
            if isinstance(module, SlicedLayerNorm):
                module.eps = eps

    def extract(self, architecture: Architecture) -> VisionTransformer:
        """Return a standalone network of ``architecture`` that gives the same logits.

        Its parameters are copies of the subnet's: leading slices if entangled.

        Raises:
            ArchitectureError: ``architecture`` is larger than this network.
        """
        self.require(architecture)
        rate = self.drop_path_rates[architecture.depth - 1]
        subnet = VisionTransformer(
            self.geometry, architecture, pooling=self.pooling, qkv_bias=self.qkv_bias, drop_path=rate, seed=None
        )
        subnet.set_norm_eps(self.norm_eps)
        subnet.to(next(self.parameters())).train(self.training)
        own = dict(self.named_parameters())
        with torch.no_grad():
            for name, parameter in subnet.named_parameters():
                tensor: Tensor = own[self.shared_name(name, architecture)]
                if name == "patch_embed.positions":
                    tensor = resample_positions(tensor[..., : architecture.embed_dim], subnet.geometry.grid)
                parameter.copy_(leading_slice(tensor, parameter.shape))
        return subnet

    def shared_name(self, name: str, architecture: Architecture) -> str:
        """Return this network's name of a parameter of the standalone ``architecture``."""
        name, stem = self.sharing.shared_name(name, architecture), "patch_embed."
        if len(self.patch_sizes) == 1 or not name.startswith(stem):
            return name
        return f"{stem}{self.geometry.of(architecture).patch_size}.{name.removeprefix(stem)}"

    def active_shapes(self, architecture: Architecture) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the leading slices that ``architecture`` uses, by parameter."""
        own = dict(self.named_parameters())
        shapes = {}
        for name, shape in parameter_shapes(self.geometry, architecture).items():
            whole = self.shared_name(name, architecture)
            # positions are resampled as a whole
            shapes[whole] = (*own[whole].shape[:-1], shape[-1]) if name == "patch_embed.positions" else shape
        return shapes

    def save(self, path: str | Path, metadata: Mapping[str, Any] | None = None) -> Path:
        """Write the weights and sizes; ``metadata`` is stored unchanged.

        Raises:
            CheckpointError: The file cannot be written.
        """
        header = {
            "geometry": self.geometry.to_dict(),
            "architecture": self.architecture.to_dict(),
            "pooling": self.pooling,
            "qkv_bias": self.qkv_bias,
            "drop_path": self.drop_path_rates[-1],
            "norm_eps": self.norm_eps,
            "metadata": dict(metadata or {}),
        }
        return write_checkpoint(path, "network", self.state_dict(), header)

    @property
    def resizes(self) -> bool:
        """Whether the resolution is searched, so that images of any size are resized to it."""
        return "image_size" in dict(self.architecture.network)

    def check_images(self, images: Tensor) -> None:
        """Raise DataError, naming both shapes, unless ``images`` have the geometry's size or can be resized."""
        g = self.geometry
        wanted, shape = (g.in_channels, g.image_size, g.image_size), tuple(images.shape[1:])
        square = images.ndim == 4 and shape[0] == g.in_channels and shape[1] == shape[2]
        if not (square and self.resizes) and (images.ndim != 4 or shape != wanted):
            raise DataError(f"images must be (batch, {', '.join(map(str, wanted))}), got {tuple(images.shape)}")


def load_network(path: str | Path) -> VisionTransformer:
    """Load a file of ``VisionTransformer.save``, in evaluation mode.

    Raises:
        CheckpointError: The file is missing, corrupt, or not a network.
    """
    header, tensors = read_checkpoint(path, "network")
    try:
        geometry, architecture = Geometry(**header["geometry"]), Architecture.from_dict(header["architecture"])
        options = {name: header[name] for name in ("pooling", "qkv_bias", "drop_path")}
        net = VisionTransformer(geometry, architecture, **options, seed=None)
        net.set_norm_eps(float(header.get("norm_eps", LAYER_NORM_EPS)))  # absent in files of the first version
    except NasformerError as error:
        raise CheckpointError(f"cannot build the network of {path}: {error}", path) from error
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"the header of {path} is damaged: {error}", path) from error
    fill(net, tensors, path)
    return net.eval()


def leading_slice(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the leading slice of ``tensor`` that has ``shape``, as a view."""
    return tensor[tuple(slice(size) for size in shape)]


def parameter_shapes(geometry: Geometry, architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Return the parameter shapes of ``architecture`` by name, without allocation."""
    with torch.device("meta"):
        net = VisionTransformer(geometry, architecture, seed=None)
    return {name: tuple(parameter.shape) for name, parameter in net.named_parameters()}


def require_option(name: str, value: object, options: tuple[str, ...]) -> None:
    """Raise ArchitectureError unless ``value`` is one of ``options``."""
    if value not in options:
        raise ArchitectureError(f"{name} must be {' or '.join(map(repr, options))}, got {value!r}", value)


def _check_at_most(name: str, value: float, limit: float, layer: int | None = None) -> None:
    if value > limit:
        where = "" if layer is None else f" of layer {layer}"
        raise ArchitectureError(f"{name}{where} is {value}, but this network has {limit}; take at most that", value)


def _linspace(last: float, count: int) -> tuple[float, ...]:
    return tuple(last * layer / max(count - 1, 1) for layer in range(count))
