"""TimmVisionTransformer: our network with timm's model interface.

Layers, names and outputs are those of ``VisionTransformer``; only the head differs, since timm removes it, changes
the pooling and reads features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn
from torch.nn import functional as F

from nasformer.architecture import Architecture
from nasformer.cost.geometry import Geometry
from nasformer.errors import ArchitectureError, CheckpointError
from nasformer.export.timm.features import block_indices, format_outputs, require_format
from nasformer.export.timm.weights import convert_weights
from nasformer.supernet.attention import QkvBias
from nasformer.supernet.block import Block
from nasformer.supernet.initialise import DEVIATION, initialise
from nasformer.supernet.layers import Shard
from nasformer.supernet.model import Pooling, VisionTransformer
from nasformer.training.optimizer import NO_DECAY

POOLINGS: dict[str, Pooling | None] = {"avg": "mean", "token": "cls", "map": "map", "": None}
"""Our poolings by timm's names; "" does not pool."""


class TimmVisionTransformer(VisionTransformer):
    """A vision transformer of one architecture, compatible with timm's tools.

    Args:
        geometry: Sizes of images, patches, heads and classes; 0 classes: no head.
        architecture: Sizes of the layers.
        global_pool: Input of the head: "avg" (mean over the patches), "token" (the cls token) or "" (all tokens).
        qkv_bias: Layout of the qkv bias.
        drop_rate: Dropout before the head.
        drop_path_rate: Stochastic depth rate of the last layer; it grows linearly from 0.
        supernet: A larger architecture whose weights may be loaded and sliced; None: none.
        seed: Random seed of the weights; None leaves linear weights zero, to be loaded.

    Attributes:
        pretrained_cfg: timm's configuration of input and head, for its data loaders.

    Raises:
        ArchitectureError: An unknown ``global_pool`` or ``qkv_bias``.

    >>> import torch
    >>> from nasformer.architecture import uniform
    >>> geometry = Geometry(image_size=8, patch_size=2, in_channels=1, num_classes=10, head_dim=16, max_distance=3)
    >>> model = TimmVisionTransformer(geometry, uniform(64, 4, 4, 3))
    >>> images = torch.zeros(5, 1, 8, 8)
    >>> model(images).shape, model.forward_features(images).shape
    (torch.Size([5, 10]), torch.Size([5, 17, 64]))
    >>> model.reset_classifier(0)
    >>> model(images).shape
    torch.Size([5, 64])
    """

    def __init__(
        self,
        geometry: Geometry,
        architecture: Architecture,
        *,
        global_pool: str = "avg",
        qkv_bias: QkvBias = "leading",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        supernet: Architecture | None = None,
        seed: int | None = 0,
    ) -> None:
        pooling = POOLINGS[_check_pooling(global_pool)] or "mean"
        super().__init__(
            geometry, architecture, pooling=pooling, qkv_bias=qkv_bias, drop_path=drop_path_rate, seed=None
        )
        self.num_prefix_tokens = geometry.variant.prefix
        width = architecture.embed_dim
        self.embed_dim = self.num_features = self.head_hidden_size = width
        self.in_chans, self.supernet = geometry.in_channels, supernet
        self.feature_info = [
            {"module": f"blocks.{layer}", "num_chs": width, "reduction": geometry.patch_size}
            for layer in range(architecture.depth)
        ]
        self.pretrained_cfg: dict[str, Any] = {}
        self.default_cfg = self.pretrained_cfg  # timm's older name
        self.head_drop = nn.Dropout(drop_rate)
        self._set_head(geometry.num_classes, global_pool)
        if seed is not None:
            initialise(self, seed)

    def forward(self, images: Tensor, architecture: Architecture | None = None, shard: Shard | None = None) -> Tensor:
        """Return the logits ``(batch, num_classes)`` of ``images``, or the features if there is no head.

        Raises:
            ArchitectureError: ``architecture`` is larger than this network.
            DataError: ``images`` have another shape.
        """
        return self.forward_head(self.forward_features(images, architecture, shard))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Map tokens ``(batch, tokens, embed_dim)`` to logits, or with ``pre_logits`` to the head's input."""
        x = self.head_drop(self.fc_norm(self.pool(x)))
        return x if pre_logits else cast(Tensor, self.head(x))

    def pool(self, x: Tensor, pool_type: str | None = None) -> Tensor:
        """Pool tokens ``(batch, tokens, embed_dim)`` to ``(batch, embed_dim)``; "" returns them unchanged."""
        pooling = POOLINGS[_check_pooling(self.global_pool if pool_type is None else pool_type)]
        return x if pooling is None else super().pool(x, pooling)

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        return_prefix_tokens: bool = False,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
        output_dict: bool = False,
    ) -> Any:
        """Return the outputs of selected blocks, with or without the final tokens.

        Args:
            x: Images ``(batch, channels, height, width)``.
            indices: The last n blocks, or a list (negative: from the end); None: all.
            return_prefix_tokens: Pair each output with the tokens before its patches, ``(batch, prefix, embed_dim)``.
            norm: Apply the final norm to each output.
            stop_early: Stop after the last selected block.
            output_fmt: "NCHW" for ``(batch, embed_dim, rows, columns)``, "NLC" for ``(batch, patches, embed_dim)``.
            intermediates_only: Omit the final tokens.
            output_dict: Return a mapping with timm's keys.

        Returns:
            The final tokens ``(batch, tokens, embed_dim)`` and the list of outputs, or the list alone, or a mapping.

        Raises:
            ArchitectureError: An unknown ``output_fmt`` or block.
        """
        require_format(output_fmt)
        wanted = block_indices(indices, len(self.blocks))
        taken: list[Tensor] = []
        tokens = x
        for layer, tokens in enumerate(self._block_outputs(x, max(wanted) + 1 if stop_early else len(self.blocks))):
            if layer in wanted:
                taken.append(self.norm(tokens) if norm else tokens)
        final = None if intermediates_only else self.norm(tokens)
        return format_outputs(
            taken,
            final,
            self.geometry.grid,
            output_fmt,
            before=self.num_prefix_tokens,
            prefix=return_prefix_tokens,
            mapping=output_dict,
        )

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Permanently remove the blocks after the last selected one; return the selected blocks.

        Args:
            indices: As in ``forward_intermediates``.
            prune_norm: Also remove the final norm.
            prune_head: Also remove head and pooling.

        Raises:
            ArchitectureError: An unknown block.
        """
        wanted = block_indices(indices, len(self.blocks))
        own, depth = self.architecture, max(wanted) + 1
        layers = {name: value[:depth] for name, value in own.to_dict().items() if isinstance(value, list)}
        self.architecture = own.replace(**layers)
        self.blocks, self.drop_path_rates = self.blocks[:depth], self.drop_path_rates[:depth]
        if prune_norm:
            self.norm = nn.Identity()
        if prune_head:
            self.reset_classifier(0, "")
        return wanted

    def get_classifier(self) -> nn.Module:
        """Return the head."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the head, initialised by torch's global generator, and optionally the pooling; 0 classes: no head.

        Raises:
            ArchitectureError: ``num_classes`` is below 0, or ``global_pool`` is unknown.
        """
        self._set_head(num_classes, self.global_pool if global_pool is None else global_pool)
        if num_classes:
            nn.init.trunc_normal_(self.head.weight, std=DEVIATION)

    def no_weight_decay(self) -> set[str]:
        """Return the parameters excluded from weight decay besides 1-D ones: further tokens and absolute positions."""
        return {name for name, _ in self.named_parameters() if name.rpartition(".")[2] in NO_DECAY}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return timm's patterns that group parameters by layer, from stem to head."""
        return {"stem": r"^patch_embed", "blocks": [(r"^blocks\.(\d+)", None), (r"^norm", (99999,))]}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load weights of this network or its supernet, in our names or AutoFormer's.

        Raises:
            CheckpointError: Weights of another network.
        """
        return super().load_state_dict(convert_weights(self, state_dict), strict, assign)

    def extract(self, architecture: Architecture) -> VisionTransformer:
        """Return a standalone network of ``architecture``, without timm's interface.

        Raises:
            ArchitectureError: ``architecture`` is larger than this network.
            CheckpointError: Head or norm was removed.
        """
        self._require_whole()
        return super().extract(architecture)

    def save(self, path: str | Path, metadata: Mapping[str, Any] | None = None) -> Path:
        """Write the weights and sizes, for ``nasformer.supernet.load_network`` and for timm.

        Raises:
            CheckpointError: Head or norm was removed, or the file cannot be written.
        """
        self._require_whole()
        return super().save(path, metadata)

    def _set_head(self, num_classes: int, global_pool: str) -> None:
        if num_classes < 0:
            raise ArchitectureError(f"num_classes must be at least 0 (no head), got {num_classes}", num_classes)
        pooling = POOLINGS[_check_pooling(global_pool)]
        if "map" in (pooling or self.pooling, self.pooling) and (pooling or self.pooling) != self.pooling:
            raise ArchitectureError(f"the network pools by {self.pooling!r}, which cannot become {pooling!r}", pooling)
        self.global_pool, self.pooling = global_pool, pooling or self.pooling
        self.num_classes = num_classes
        self.geometry = replace(self.geometry, num_classes=num_classes)
        weight = self.patch_embed.weight
        head = _Head(self.embed_dim, num_classes).to(weight) if num_classes else nn.Identity()
        self.head = head.train(self.training)  # type: ignore[assignment]

    def _require_whole(self) -> None:
        if isinstance(self.head, nn.Identity) or isinstance(self.norm, nn.Identity) == self.geometry.variant.final_norm:
            raise CheckpointError("a model without head or norm is incomplete; save its state_dict() instead", self)

    def _block_outputs(self, images: Tensor, depth: int) -> Iterator[Tensor]:
        x, grid = self.embed(images, self.architecture), self.patch_grid(self.architecture)
        for block, layer in list(zip(self.blocks, self.architecture.layers, strict=True))[:depth]:
            x = self.run_block(cast(Block, block), x, layer, grid)
            yield x


class _Head(nn.Linear):
    """A linear layer that runs on its leading inputs, for smaller subnets."""

    def reset_parameters(self) -> None:
        """Initialise to zero, like our other layers."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight[:, : x.shape[-1]], self.bias)


def _check_pooling(global_pool: str) -> str:
    if global_pool not in POOLINGS:
        raise ArchitectureError(f"global_pool must be {' or '.join(map(repr, POOLINGS))}, got {global_pool!r}")
    return global_pool
