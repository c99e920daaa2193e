"""Images or series that fit in memory: one tensor of them, one of their targets."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from nasformer.errors import DataError


class ImagesInMemory(Dataset[tuple[Tensor, Any]]):
    """A torch dataset over two tensors, sliced into batches.

    Args:
        images: Floats ``(n, channels, height, width)``, or series ``(n, channels, length)``.
        labels: Targets: class indices ``(n,)``, or numbers ``(n, outputs)``.

    Raises:
        DataError: Wrong shape or dtype, a NaN or infinity, or a negative class index.

    >>> split = ImagesInMemory(torch.zeros(5, 1, 8, 8), torch.arange(5))
    >>> len(split), split[3][1]
    (5, 3)
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        if images.ndim not in (3, 4) or not images.is_floating_point():
            raise DataError(
                f"images must be floats (n, channels, height, width), got {images.dtype} {tuple(images.shape)}", images
            )
        if labels.shape[:1] != images.shape[:1] or labels.ndim != (2 if labels.is_floating_point() else 1):
            raise DataError(
                f"labels must be {images.shape[0]} integers, or floats ({images.shape[0]}, outputs), "
                f"got {labels.dtype} {tuple(labels.shape)}",
                labels,
            )
        if not torch.isfinite(images).all():
            first = int((~torch.isfinite(images)).flatten(1).any(1).nonzero()[0])
            raise DataError(f"image {first} contains a NaN or an infinity; remove or repair it", first)
        if labels.ndim == 1 and labels.numel() and int(labels.min()) < 0:
            raise DataError(f"labels must be 0 or more, got {int(labels.min())}", labels)
        self.images = images.contiguous()
        self.labels = labels if labels.is_floating_point() else labels.long()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Any]:
        label = self.labels[index]
        return self.images[index], label if label.ndim else int(label)

    @property
    def targets(self) -> Tensor:
        """The labels."""
        return self.labels

    def batch(self, places: slice | Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return images ``(batch, …)`` and labels ``(batch, …)``; on another device than theirs, copies."""
        chosen = places if isinstance(places, slice) else places.to(self.images.device)
        return self.images[chosen].to(device), self.labels[chosen].to(device)

    def to(self, device: torch.device | str) -> ImagesInMemory:
        """Return the same images on ``device``; itself if they are already there."""
        if self.images.device == torch.device(device):
            return self
        moved = object.__new__(ImagesInMemory)
        moved.images, moved.labels = self.images.to(device), self.labels.to(device)
        return moved
