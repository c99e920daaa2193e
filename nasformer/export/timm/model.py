"""TimmVisionTransformer: our network with the interface of timm's models.

The layers, their names and what they compute are those of ``VisionTransformer``; only the end differs,
since timm takes a model's head off, changes its pooling and reads what comes before it.
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
from nasformer.export.timm.features import block_indices, present, require_format
from nasformer.export.timm.weights import own_weights
from nasformer.supernet.attention import QkvBias
from nasformer.supernet.block import Block
from nasformer.supernet.initialise import DEVIATION, initialise
from nasformer.supernet.layers import Shard
from nasformer.supernet.model import Pooling, VisionTransformer

POOLINGS: dict[str, Pooling | None] = {"avg": "mean", "token": "cls", "": None}
"""timm's names of our poolings; with "" the tokens stay apart."""


class TimmVisionTransformer(VisionTransformer):
    """A vision transformer of one architecture that timm's tools can handle.

    Args:
        geometry: Sizes of images, patches, heads and classes; no classes: no head.
        architecture: The sizes of its layers.
        global_pool: What the head sees: "avg" (the mean over the patches), "token" (the cls token) or "" (all).
        qkv_bias: The layout of the qkv bias.
        drop_rate: Dropout before the head.
        drop_path_rate: Rate of the last layer; the others follow linearly from 0.
        supernet: The wider or deeper network that a file may hold, to be cut to its slices; None: no other.
        seed: Of the initial weights; None leaves them zero, to be filled.

    Attributes:
        pretrained_cfg: timm's description of input and head, for its data loaders.

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

    num_prefix_tokens = 1  # the cls token

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
        super().__init__(geometry, architecture, qkv_bias=qkv_bias, drop_path=drop_path_rate, seed=None)
        width = architecture.embed_dim
        self.embed_dim = self.num_features = self.head_hidden_size = width
        self.in_chans, self.supernet = geometry.in_channels, supernet
        self.feature_info = [
            {"module": f"blocks.{layer}", "num_chs": width, "reduction": geometry.patch_size}
            for layer in range(architecture.depth)
        ]
        self.pretrained_cfg: dict[str, Any] = {}
        self.default_cfg = self.pretrained_cfg  # timm's older name of it
        self.head_drop = nn.Dropout(drop_rate)
        self._put_head(geometry.num_classes, global_pool)
        if seed is not None:
            initialise(self, seed)

    def forward(self, images: Tensor, architecture: Architecture | None = None, shard: Shard | None = None) -> Tensor:
        """Return the logits ``(batch, num_classes)`` of ``images``, or what the head would see where there is none.

        Raises:
            ArchitectureError: ``architecture`` is larger than this network.
            DataError: ``images`` have another shape.
        """
        return self.forward_head(self.forward_features(images, architecture, shard))

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """Map the tokens ``(batch, tokens, embed_dim)`` to logits, or with ``pre_logits`` to what the head sees."""
        x = self.head_drop(self.pool(x))
        return x if pre_logits else cast(Tensor, self.head(x))

    def pool(self, x: Tensor, pool_type: str | None = None) -> Tensor:
        """Map the tokens ``(batch, tokens, embed_dim)`` to ``(batch, embed_dim)``; "" leaves them as they are."""
        pooling = POOLINGS[_known_pooling(self.global_pool if pool_type is None else pool_type)]
        if pooling is None:
            return x
        return x[:, 1:].mean(dim=1) if pooling == "mean" else x[:, 0]

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
        """Return what chosen blocks put out, with or without the final tokens.

        Args:
            x: Images ``(batch, channels, height, width)``.
            indices: The last so many blocks, or these blocks (negative: from the end); None: all.
            return_prefix_tokens: Pair each output with its cls token ``(batch, 1, embed_dim)``.
            norm: Apply the final norm to each output.
            stop_early: Run no block beyond the last one asked for.
            output_fmt: "NCHW" for ``(batch, embed_dim, rows, columns)``, "NLC" for ``(batch, patches, embed_dim)``.
            intermediates_only: Leave out the final tokens.
            output_dict: Return a mapping with timm's keys.

        Returns:
            The final tokens ``(batch, tokens, embed_dim)`` and the list of outputs, or the list alone, or a mapping.

        Raises:
            ArchitectureError: An unknown ``output_fmt``, or there is no such block.
        """
        require_format(output_fmt)
        wanted = block_indices(indices, len(self.blocks))
        taken: list[Tensor] = []
        tokens = x
        for layer, tokens in enumerate(self._block_outputs(x, max(wanted) + 1 if stop_early else len(self.blocks))):
            if layer in wanted:
                taken.append(self.norm(tokens) if norm else tokens)
        final = None if intermediates_only else self.norm(tokens)
        return present(taken, final, self.geometry.grid, output_fmt, prefix=return_prefix_tokens, mapping=output_dict)

    def prune_intermediate_layers(
        self, indices: int | Sequence[int] = 1, prune_norm: bool = False, prune_head: bool = True
    ) -> list[int]:
        """Drop, for good, the blocks beyond the last one asked for, and return the blocks asked for.

        Args:
            indices: As in ``forward_intermediates``.
            prune_norm: Drop the final norm too.
            prune_head: Drop the head and the pooling too.

        Raises:
            ArchitectureError: There is no such block.
        """
        wanted = block_indices(indices, len(self.blocks))
        own, depth = self.architecture, max(wanted) + 1
        layers = {name: value[:depth] for name, value in own.to_dict().items() if isinstance(value, list)}
        self.architecture = own.replace(**layers)
        self.blocks, self.drop_path_rates = self.blocks[:depth], self.drop_path_rates[:depth]
        if prune_norm:
            self.norm = nn.Identity()  # type: ignore[assignment]
        if prune_head:
            self.reset_classifier(0, "")
        return wanted

    def get_classifier(self) -> nn.Module:
        """Return the head."""
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Put a new head on, drawn by torch's own generator, or with no classes none; change the pooling if named.

        Raises:
            ArchitectureError: ``num_classes`` is below 0, or ``global_pool`` is unknown.
        """
        self._put_head(num_classes, self.global_pool if global_pool is None else global_pool)
        if num_classes:
            nn.init.trunc_normal_(self.head.weight, std=DEVIATION)

    def no_weight_decay(self) -> set[str]:
        """Return the parameters of more than one dimension that are not decayed: cls token, absolute positions."""
        return {"patch_embed.cls_token", "patch_embed.positions"}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Return the patterns by which timm orders parameters in layers, from the stem to the head."""
        return {"stem": r"^patch_embed", "blocks": [(r"^blocks\.(\d+)", None), (r"^norm", (99999,))]}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take weights of this network, in our names or AutoFormer's, or of the supernet that it is cut from.

        Raises:
            CheckpointError: They are those of another network.
        """
        return super().load_state_dict(own_weights(self, state_dict), strict, assign)

    def extract(self, architecture: Architecture) -> VisionTransformer:
        """Return an independent network of ``architecture``, which is none of timm's models.

        Raises:
            ArchitectureError: ``architecture`` is larger than this network.
            CheckpointError: Head or norm was taken off.
        """
        self._require_whole()
        return super().extract(architecture)

    def save(self, path: str | Path, metadata: Mapping[str, Any] | None = None) -> Path:
        """Write the weights with the sizes that they need, for ``nasformer.supernet.load_network`` and for timm.

        Raises:
            CheckpointError: Head or norm was taken off, or the place cannot be written.
        """
        self._require_whole()
        return super().save(path, metadata)

    def _put_head(self, num_classes: int, global_pool: str) -> None:
        if num_classes < 0:
            raise ArchitectureError(f"num_classes must be at least 0 (no head), got {num_classes}", num_classes)
        self.global_pool = _known_pooling(global_pool)
        self.pooling = POOLINGS[global_pool] or self.pooling
        self.num_classes = num_classes
        self.geometry = replace(self.geometry, num_classes=num_classes)
        weight = self.patch_embed.weight
        head = _Head(self.embed_dim, num_classes).to(weight) if num_classes else nn.Identity()
        self.head = head.train(self.training)  # type: ignore[assignment]

    def _require_whole(self) -> None:
        if isinstance(self.head, nn.Identity) or isinstance(self.norm, nn.Identity):
            raise CheckpointError(
                "a model without its head or its norm is no whole network; keep its state_dict() instead", self
            )

    def _block_outputs(self, images: Tensor, depth: int) -> Iterator[Tensor]:
        x, grid = self.embed(images, self.architecture), self.grid_of(self.architecture)
        for block, layer in list(zip(self.blocks, self.architecture.layers, strict=True))[:depth]:
            x = self.run_block(cast(Block, block), x, layer, grid)
            yield x


class _Head(nn.Linear):
    """A linear layer that runs on its leading inputs, as smaller subnets need."""

    def reset_parameters(self) -> None:
        """Start from zero, as our other layers do: who makes the network fills it."""
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight[:, : x.shape[-1]], self.bias)


def _known_pooling(global_pool: str) -> str:
    if global_pool not in POOLINGS:
        raise ArchitectureError(f"global_pool must be {' or '.join(map(repr, POOLINGS))}, got {global_pool!r}")
    return global_pool
