"""Intermediate features as timm returns them: chosen blocks' outputs, in one of two layouts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from nasformer.errors import ArchitectureError

FORMATS = ("NCHW", "NLC")
"""Rows and columns of patches after the features, or one sequence of patches before them."""


def block_indices(indices: int | Sequence[int] | None, depth: int) -> list[int]:
    """Return the blocks that timm's ``indices`` mean, in the order given.

    Args:
        indices: The last so many, or these (negative: from the end); None: all.
        depth: Blocks that there are.

    Raises:
        ArchitectureError: There is none of that index.

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
    """Raise ArchitectureError unless the layout is one of ``FORMATS``."""
    if output_fmt not in FORMATS:
        raise ArchitectureError(f"output_fmt must be 'NCHW' or 'NLC', got {output_fmt!r}", output_fmt)


def present(
    taken: list[Tensor], final: Tensor | None, grid: int, output_fmt: str, *, prefix: bool, mapping: bool
) -> Any:
    """Return the outputs in timm's shape.

    Args:
        taken: Tokens ``(batch, tokens, embed_dim)`` after each chosen block.
        final: The normalised tokens after the last block; None leaves them out.
        grid: Patches along one side.
        output_fmt: One of ``FORMATS``.
        prefix: Return each output's cls token ``(batch, 1, embed_dim)`` too.
        mapping: Return a mapping with timm's keys.

    Returns:
        ``(final, outputs)``, or the outputs alone, or the mapping.
    """
    outputs: list[Any] = [_layout(tokens[:, 1:], grid, output_fmt) for tokens in taken]
    prefixes = [tokens[:, :1] for tokens in taken]
    if mapping:
        named = {"image_intermediates": outputs, "image_intermediates_prefix": prefixes, "image_features": final}
        absent = {*([] if prefix else ["image_intermediates_prefix"]), *(["image_features"] if final is None else [])}
        return {name: value for name, value in named.items() if name not in absent}
    listed = list(zip(outputs, prefixes, strict=True)) if prefix else outputs
    return listed if final is None else (final, listed)


def _layout(patches: Tensor, grid: int, output_fmt: str) -> Tensor:
    """Map ``(batch, patches, embed_dim)`` to itself or to ``(batch, embed_dim, rows, columns)``."""
    if output_fmt == "NLC":
        return patches
    batch, _, embed_dim = patches.shape
    return patches.transpose(1, 2).reshape(batch, embed_dim, grid, grid)
