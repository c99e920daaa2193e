"""Batches of a split: slices of a tensor where it is in memory, else a DataLoader."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from nasformer.data.dataset import Split
from nasformer.data.memory import ImagesInMemory
from nasformer.errors import DataError


def iterate(
    split: Split,
    batch_size: int,
    *,
    device: torch.device | str = "cpu",
    seed: int | None = None,
    drop_last: bool = False,
    workers: int = 0,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ``(images (batch, channels, height, width), labels (batch,))`` on ``device``.

    Args:
        split: The images.
        batch_size: Images in a batch; the last one may hold fewer.
        device: Where the batches go.
        seed: Of the order; None: the order of the split.
        drop_last: Leave out a last batch that is not full.
        workers: Processes that read images that are not in memory.

    Raises:
        DataError: An image cannot be read.
    """
    order = None
    if seed is not None:
        order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    if isinstance(split, ImagesInMemory):
        yield from _from_memory(split.to(device), batch_size, order, drop_last)
    else:
        yield from _from_loader(split, batch_size, order, drop_last, workers, torch.device(device), seed or 0)


def _from_memory(
    split: ImagesInMemory, batch_size: int, order: Tensor | None, drop_last: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    end = len(split) - len(split) % batch_size if drop_last else len(split)
    order = None if order is None else order.to(split.images.device)
    for start in range(0, end, batch_size):
        stop = min(start + batch_size, end)
        chosen = slice(start, stop) if order is None else order[start:stop]
        yield split.images[chosen], split.labels[chosen]


def _from_loader(
    split: Split,
    batch_size: int,
    order: Tensor | None,
    drop_last: bool,
    workers: int,
    device: torch.device,
    seed: int,
) -> Iterator[tuple[Tensor, Tensor]]:
    sampler = range(len(split)) if order is None else order.tolist()
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        split,  # type: ignore[arg-type]  # any map-style dataset serves
        batch_size,
        sampler=sampler,
        drop_last=drop_last,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        generator=torch.Generator().manual_seed(seed),  # seeds the workers, and leaves global state alone
    )
    try:
        for images, labels in loader:
            yield images.to(device, non_blocking=True), torch.as_tensor(labels).to(device, non_blocking=True)
    except DataError as error:  # a worker's error arrives with its traceback in front
        raise DataError(str(error).strip().splitlines()[-1].removeprefix("nasformer.errors.DataError: ")) from None
