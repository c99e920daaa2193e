"""space_for: a search space for the images of a dataset and the budgets of its networks."""

from __future__ import annotations

from collections.abc import Mapping

from nasformer.data.dataset import Dataset
from nasformer.errors import SpaceError
from nasformer.space import SearchSpace, choice, per_layer

_WIDTHS = (48, 64, 96, 128, 160)
_SCALES = (1 / 3, 1, 2, 3, 4, 6)
_DEPTHS = (2, 3, 4, 5, 6, 7, 8)
_HEADS = (2, 3, 4, 6, 8)
_RATIOS = (0, 1, 2, 3, 4)
_GRIDS = (8, 4)
_HEAD_DIM = 16
_ROOM = 1.5
"""Least ratio of the largest network to the largest budget."""


def space_for(data: Dataset, most: Mapping[str, float], name: str) -> SearchSpace:
    """Return a space of ViTs with two patch sizes and branches that may be skipped in any layer.

    Its widths are multiples of those of ``cifar10``: the least of which the largest network exceeds the largest budget.

    Args:
        data: The dataset.
        most: The largest budget, by cost: ``params`` or ``macs``.
        name: Its name.

    Raises:
        SpaceError: The data are not images, or too small for patches.

    >>> from nasformer.data import load_dataset
    >>> space = space_for(load_dataset("digits"), {"macs": 2e6}, "mine")
    >>> space.macs(space.smallest) < 2e6 < space.macs(space.largest)
    True
    """
    if len(data.input_shape) != 3:
        raise SpaceError(f"a space is made for images, and {data.name!r} has series; give a space", data)
    patches = sorted({_patch(data.image_size, grid) for grid in _GRIDS})
    for scale in _SCALES:
        space = SearchSpace(
            name,
            embed_dim=choice(*(8 * round(width * scale / 8) for width in _WIDTHS)),
            depth=choice(*_DEPTHS),
            num_heads=per_layer(0, *sorted({max(1, int(heads * scale)) for heads in _HEADS})),
            mlp_ratio=per_layer(*_RATIOS),
            patch_size=choice(*patches),
            head_dim=_HEAD_DIM,
            image_size=data.image_size,
            in_channels=data.in_channels,
            num_classes=data.num_classes,
            pooling="mean",
            max_distance=None,
        )
        costs = space.costs(space.largest)
        if all(costs[name] >= _ROOM * value for name, value in most.items()):
            break
    return space


def _patch(image_size: int, grid: int) -> int:
    """Return the patch size that divides an image into a grid nearest to the wanted one.

    >>> _patch(28, 8), _patch(64, 4)
    (4, 16)
    """
    sizes = [size for size in range(1, image_size + 1) if image_size % size == 0]
    return min(sizes, key=lambda size: abs(image_size / size - grid))
