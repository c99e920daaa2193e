"""Intermediate features in timm's formats: outputs of selected blocks in one of two layouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from nasformer.errors import ArchitectureError

FORMATS = ("NCHW", "NLC")
"""``(batch, embed_dim, rows, columns)`` or ``(batch, patches, embed_dim)``."""


def block_indices(indices: int | Sequence[int] | None, depth: int) -> list[int]:
    """Resolve timm's ``indices`` to block indices, in the given order.

    Args:
        indices: The last n blocks, or a list (negative: from the end); None: all.
        depth: Number of blocks.

    Raises:
        ArchitectureError: An index is out of range.

    >>> block_indices(2, 12), block_indices((0, -1), 12)
    ([10, 11], [0, 11])
    """
    if indices is None or isinstance(indices, int):
        count = depth if indices is None else indices
        if not 0 < count <= depth:
            raise ArchitectureError(f"the last {count} blocks were asked for, the network has {depth}", count)
        return list(range(depth - count, depth))
    for index in indices:
        if not -depth <= index < depth:
            raise ArchitectureError(f"block {index} was asked for, the network has {depth}: 0 to {depth - 1}", index)
    if not indices:
        raise ArchitectureError(f"no block was asked for; name some of 0 to {depth - 1}", indices)
    return [index % depth for index in indices]


def require_format(output_fmt: str) -> None:
    """Raise ArchitectureError unless ``output_fmt`` is one of ``FORMATS``."""
    if output_fmt not in FORMATS:
        raise ArchitectureError(f"output_fmt must be 'NCHW' or 'NLC', got {output_fmt!r}", output_fmt)


def format_outputs(
    taken: list[Tensor],
    final: Tensor | None,
    grid: int,
    output_fmt: str,
    *,
    before: int,
    prefix: bool,
    mapping: bool,
) -> Any:
    """Return the outputs in timm's format.

    Args:
        taken: Tokens ``(batch, tokens, embed_dim)`` after each selected block.
        final: The normalised tokens after the last block; None: omitted.
        grid: Patches along one side.
        output_fmt: One of ``FORMATS``.
        before: Number of tokens before the patches.
        prefix: Also return these tokens of each output, ``(batch, before, embed_dim)``.
        mapping: Whether to return a mapping with timm's keys.

    Returns:
        ``(final, outputs)``, or the outputs alone, or the mapping.
    """
    outputs: list[Any] = [_layout(tokens[:, before:], grid, output_fmt) for tokens in taken]
    prefixes = [tokens[:, :before] for tokens in taken]
    if mapping:
        named = {"image_intermediates": outputs, "image_intermediates_prefix": prefixes, "image_features": final}
        absent = {*([] if prefix else ["image_intermediates_prefix"]), *(["image_features"] if final is None else [])}
        return {name: value for name, value in named.items() if name not in absent}
    listed = list(zip(outputs, prefixes, strict=True)) if prefix else outputs
    return listed if final is None else (final, listed)


def _layout(patches: Tensor, grid: int, output_fmt: str) -> Tensor:
    """Return ``(batch, patches, embed_dim)`` as NLC, or NCHW ``(batch, embed_dim, rows, columns)``."""
    if output_fmt == "NLC":
        return patches
    batch, _, embed_dim = patches.shape
    return patches.transpose(1, 2).reshape(batch, embed_dim, grid, grid)
