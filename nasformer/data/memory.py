"""Images that fit in memory: one tensor of images, one of labels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from nasformer.errors import DataError


class ImagesInMemory(Dataset[tuple[Tensor, int]]):
    """A torch dataset over two tensors, sliced into batches.

    Args:
        images: Floats ``(n, channels, height, width)``.
        labels: Class indices ``(n,)``.

    Raises:
        DataError: Wrong shape or dtype, a NaN or infinity, or a negative label.

    >>> split = ImagesInMemory(torch.zeros(5, 1, 8, 8), torch.arange(5))
    >>> len(split), split[3][1]
    (5, 3)
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        if images.ndim != 4 or not images.is_floating_point():
            raise DataError(
                f"images must be floats (n, channels, height, width), got {images.dtype} {tuple(images.shape)}", images
            )
        if labels.shape != images.shape[:1] or labels.is_floating_point():
            raise DataError(
                f"labels must be {images.shape[0]} integers, got {labels.dtype} {tuple(labels.shape)}", labels
            )
        if not torch.isfinite(images).all():
            first = int((~torch.isfinite(images)).flatten(1).any(1).nonzero()[0])
            raise DataError(f"image {first} contains a NaN or an infinity; remove or repair it", first)
        if labels.numel() and int(labels.min()) < 0:
            raise DataError(f"labels must be 0 or more, got {int(labels.min())}", labels)
        self.images = images.contiguous()
        self.labels = labels.long()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], int(self.labels[index])

    def to(self, device: torch.device | str) -> ImagesInMemory:
        """Return the same images on ``device``; itself if they are already there."""
        if self.images.device == torch.device(device):
            return self
        moved = object.__new__(ImagesInMemory)
        moved.images, moved.labels = self.images.to(device), self.labels.to(device)
        return moved
