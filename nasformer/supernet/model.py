"""VisionTransformer: AutoFormer's network, which also runs every smaller architecture.

Chen et al., ICCV 2021. Pre-norm blocks, exact GELU, relative positions on keys and values, absolute positions, a cls
token, and mean pooling over the patches (or the cls token, or a head over all patches). Inputs are images or time
series. The architecture is an argument of the forward pass;
modules hold no active choice. With several patch sizes or resolutions, each patch size has its own embedding and
positions; images and positions are resampled to the resolution.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, cast, get_args

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from nasformer.architecture import Architecture, Layer
from nasformer.cost.geometry import Geometry
from nasformer.cost.geometry import Pooling as Pooling
from nasformer.errors import ArchitectureError, CheckpointError, DataError, NasformerError
from nasformer.supernet.attention import QkvBias
from nasformer.supernet.block import Block
from nasformer.supernet.checkpoint import build, first_line, read_checkpoint, require_layers, write_checkpoint
from nasformer.supernet.initialise import initialise
from nasformer.supernet.instance_norm import normalise, restore, series_statistics
from nasformer.supernet.layers import (
    LAYER_NORM_EPS,
    NORMS,
    AttentionPool,
    Shard,
    SlicedFlattenHead,
    SlicedLayerNorm,
    SlicedLinear,
    SlicedPatchEmbedding,
    SlicedRmsNorm,
    resample_positions,
    resize_images,
)
from nasformer.supernet.relative_position import PatchGrid
from nasformer.supernet.sharing import ENTANGLED, Sharing


class VisionTransformer(nn.Module):
    """A vision transformer of one architecture, which also runs every smaller one on leading slices.

    Args:
        geometry: Sizes of inputs, patches, heads and outputs.
        architecture: Sizes of the layers.
        pooling: Input of the head, unless the geometry has one.
        qkv_bias: Slice of the qkv bias that fewer heads use.
        drop_path: Stochastic depth rate of the last layer; it grows linearly from 0.
        seed: Random seed of the weights; None leaves linear weights zero, to be loaded.
        sharing: Weight sharing scheme.
        patch_sizes: Choices of the patch size; empty: only the geometry's.
        image_sizes: Choices of the image size; empty: only the geometry's.

    Attributes:
        family: File and hash of the weights of the checkpoint's family that it was extracted from; None: of none.

    Raises:
        ArchitectureError: An unknown ``pooling`` or ``qkv_bias``.

    >>> from nasformer.architecture import uniform
    >>> geometry = Geometry(image_size=8, patch_size=2, in_channels=1, num_classes=10, head_dim=16, max_distance=3)
    >>> net = VisionTransformer(geometry, uniform(64, 4, 4, 3))
    >>> images = torch.zeros(5, 1, 8, 8)
    >>> net(images).shape, net(images, uniform(32, 2, 2, 1)).shape
    (torch.Size([5, 10]), torch.Size([5, 10]))
    """

    family: tuple[str, str] | None = None

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
        pooling = geometry.pooling or pooling
        g = geometry.of(architecture).with_pooling(pooling)
        embed_dim = architecture.embed_dim
        self.geometry, self.architecture, self.pooling, self.qkv_bias = g, architecture, pooling, qkv_bias
        self.sharing = sharing
        self.patch_sizes = tuple(patch_sizes) or (g.patch_size,)
        self.image_sizes = tuple(image_sizes) or (g.image_size,)
        self.patch_embed: Any = self._by_patch_size(self._patch_embedding)
        self.grids = self._patch_grids()
        self.drop_path_rates = _linspace(drop_path, architecture.depth)
        self.blocks = nn.ModuleList(
            Block(g, embed_dim, layer, qkv_bias=qkv_bias, drop_path=rate, sharing=sharing)
            for layer, rate in zip(architecture.layers, self.drop_path_rates, strict=True)
        )
        self.grad_checkpointing = False
        # without a norm before it, a flattened head sees amplitudes, and a network of skipped branches is linear
        norm, parts = NORMS[g.variant.norm], g.variant
        self.norm: Any = sharing.by_width(norm, embed_dim) if parts.final_norm and not g.flatten else nn.Identity()
        if pooling == "map":
            build = partial(AttentionPool, head_dim=g.head_dim, variant=parts)
            self.attn_pool = sharing.by_width(build, embed_dim)
        self.fc_norm: Any = sharing.by_width(norm, embed_dim) if parts.fc_norm else nn.Identity()
        self.head: SlicedLinear = self._head()
        if seed is not None:
            initialise(self, seed)

    def _by_patch_size(self, build: Callable[[Geometry, int], nn.Module]) -> nn.Module:
        """Return the module made by ``build(geometry, embed_dim)``, or one per patch size."""
        width, found = self.architecture.embed_dim, dict[str, nn.Module]()
        for size in self.patch_sizes:
            own = replace(self.geometry, patch_size=size)
            found[str(size)] = self.sharing.by_width(partial(build, own), width)
        return nn.ModuleDict(found) if len(found) > 1 else found[str(self.geometry.patch_size)]

    def _patch_embedding(self, g: Geometry, embed_dim: int) -> nn.Module:
        sizes = g.in_channels, g.patch_size, g.patches, embed_dim
        return SlicedPatchEmbedding(*sizes, axes=g.axes, stride=g.stride, variant=g.variant)

    def _head(self) -> Any:
        """Return the linear head; if it reads all patches, a ``SlicedFlattenHead`` or one per patch size."""
        g = self.geometry
        if g.pooling == "cls_mean":
            both = partial(SlicedFlattenHead, g.pooled_tokens, g.num_classes)
            return self.sharing.by_width(both, self.architecture.embed_dim)
        if g.flatten:
            return self._by_patch_size(lambda g, embed_dim: SlicedFlattenHead(g.patches, g.num_classes, embed_dim))
        build = partial(SlicedLinear, out_features=g.num_classes)
        return self.sharing.by_width(build, self.architecture.embed_dim)

    def _of_patch_size(self, modules: Any, architecture: Architecture) -> Any:
        """Return an architecture's module of those of ``_by_patch_size``."""
        return modules[str(self.geometry.of(architecture).patch_size)] if len(self.patch_sizes) > 1 else modules

    def _patch_grids(self) -> nn.ModuleDict:
        """Return the relative position tables of each grid, by its size."""
        g = self.geometry
        sizes = product(self.image_sizes, self.patch_sizes)
        grids = sorted({replace(g, image_size=size, patch_size=patch).grid for size, patch in sizes})
        if g.max_distance is None:
            return nn.ModuleDict()
        return nn.ModuleDict({str(grid): PatchGrid(grid, g.max_distance, g.head_dim, g.axes) for grid in grids})

    def forward(self, images: Tensor, architecture: Architecture | None = None, shard: Shard | None = None) -> Tensor:
        """Return the outputs ``(batch, num_classes)`` of images ``(batch, channels, height, width)``, or of series.

        Args:
            images: Images of the geometry's size, of any size if the resolution is searched; or series ``(batch,
                channels, length)``.
            architecture: The subnet to run; None: the whole network.
            shard: Rows of a global batch, for the same drop-path as there; None: the whole batch.

        Raises:
            ArchitectureError: ``architecture`` is larger than this network.
            DataError: ``images`` have another shape.
        """
        tokens = self.forward_features(images, architecture, shard)
        return self.classify(tokens, architecture, self.statistics(images))

    def classify(
        self, tokens: Tensor, architecture: Architecture | None = None, statistics: Tensor | None = None
    ) -> Tensor:
        """Map normalised tokens ``(batch, tokens, embed_dim)`` to outputs ``(batch, num_classes)``.

        Args:
            tokens: The tokens of ``forward_features``.
            architecture: The subnet, whose patch size decides on a flattened head; None: the whole network.
            statistics: Mean and standard deviation ``(batch, 2)`` that the outputs get back; None: none.
        """
        head = self.head
        if self.pooling == "flatten":
            head = self._of_patch_size(head, architecture or self.architecture)
        outputs: Tensor = head(self.fc_norm(self.pool(tokens)), self.geometry.num_classes)
        return outputs if statistics is None else restore(outputs, statistics)

    def pool(self, tokens: Tensor, pooling: Pooling | None = None) -> Tensor:
        """Return the head's input of normalised tokens ``(batch, tokens, embed_dim)``; None: by the own pooling.

        Returns:
            ``(batch, embed_dim)``, or ``(batch, tokens, embed_dim)`` of several tokens.
        """
        patches = tokens[:, self.geometry.variant.prefix :]
        match pooling or self.pooling:
            case "mean":
                return patches.mean(dim=1)
            case "cls_mean":
                return torch.stack((tokens[:, 0], patches.mean(dim=1)), dim=1)
            case "map":
                pooled: Tensor = self.attn_pool(patches)
                return pooled
            case "flatten":
                return patches
        return tokens[:, 0]

    def statistics(self, inputs: Tensor) -> Tensor | None:
        """Return the mean and standard deviation ``(batch, 2)`` of series ``(batch, 1, length)`` to be normalised.

        None: no instance normalisation.
        """
        return series_statistics(inputs) if self.geometry.instance_norm else None

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
        """Embed images, or series after instance normalisation, as the input tokens of the first layer.

        Returns:
            ``(batch, tokens, embed_dim)``.

        Raises:
            DataError: ``images`` have another shape.
        """
        self.check_images(images)
        if (statistics := self.statistics(images)) is not None:
            images = normalise(images, statistics)
        embedding = self._of_patch_size(self.patch_embed, architecture)
        images = resize_images(images, self.geometry.of(architecture).image_size)
        tokens: Tensor = embedding(images, embed_dim=architecture.embed_dim)
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
        found = (module.eps for module in self.modules() if isinstance(module, SlicedLayerNorm | SlicedRmsNorm))
        return next(found, LAYER_NORM_EPS)

    def set_norm_eps(self, eps: float) -> None:
        """Set the epsilon of the layer norms."""
        for module in self.modules():
            if isinstance(module, SlicedLayerNorm | SlicedRmsNorm):
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
        own, first = dict(self.named_parameters()), int(self.geometry.variant.class_token)
        with torch.no_grad():
            for name, parameter in subnet.named_parameters():
                tensor: Tensor = own[self.shared_name(name, architecture)]
                if name == "patch_embed.positions" and self.geometry.axes == 2:
                    tensor = resample_positions(tensor[..., : architecture.embed_dim], subnet.geometry.grid, first)
                parameter.copy_(leading_slice(tensor, parameter.shape))
        return subnet

    def absorb(self, subnet: VisionTransformer) -> None:
        """Copy the weights of a standalone network back into this one: the inverse of ``extract``.

        Networks that share slices with it change, so extract what must stay first. Positions on another grid and a head
        of other classes are left out.

        Raises:
            ArchitectureError: The network is larger than this one.
        """
        self.require(subnet.architecture)
        own = dict(self.named_parameters())
        with torch.no_grad():
            for name, parameter in subnet.named_parameters():
                shared = leading_slice(own[self.shared_name(name, subnet.architecture)], parameter.shape)
                if shared.shape == parameter.shape:
                    shared.copy_(parameter)

    def shared_name(self, name: str, architecture: Architecture) -> str:
        """Return this network's name of a parameter of the standalone ``architecture``."""
        stem, _, rest = self.sharing.shared_name(name, architecture).partition(".")
        if len(self.patch_sizes) > 1 and (stem == "patch_embed" or (stem == "head" and self.geometry.flatten)):
            rest = f"{self.geometry.of(architecture).patch_size}.{rest}"
        return f"{stem}.{rest}"

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
        wanted, shape, kind = g.input_shape, tuple(images.shape[1:]), "images" if g.axes == 2 else "series"
        square = len(shape) == 3 and shape[0] == g.in_channels and shape[1] == shape[2]
        if shape != wanted and not (square and self.resizes):
            raise DataError(f"{kind} must be (batch, {', '.join(map(str, wanted))}), got {tuple(images.shape)}")


def load_network(path: str | Path) -> VisionTransformer:
    """Load a file of ``VisionTransformer.save``, in evaluation mode.

    Raises:
        CheckpointError: The file is missing, corrupt, or not a network.
    """
    header, tensors = read_checkpoint(path, "network")
    try:
        geometry, architecture = Geometry.from_dict(header["geometry"]), Architecture.from_dict(header["architecture"])
        options = {name: header[name] for name in ("pooling", "qkv_bias", "drop_path")}
        require_layers(architecture.depth, tensors, path)
        net = build(lambda: VisionTransformer(geometry, architecture, **options, seed=None), tensors, path)
        net.set_norm_eps(float(header.get("norm_eps", LAYER_NORM_EPS)))  # absent in files of the first version
        family = header.get("metadata", {}).get("family")
        net.family = None if family is None else (str(family[0]), str(family[1]))
    except CheckpointError:
        raise
    except NasformerError as error:
        raise CheckpointError(f"cannot build the network of {path}: {error}", path) from error
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise CheckpointError(f"the header of {path} is damaged: {first_line(error)}", path) from error
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
