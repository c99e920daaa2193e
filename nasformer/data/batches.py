"""Batches of a split: of whole batches if it has ``batch``, else a DataLoader."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from nasformer.data.dataset import Split
from nasformer.data.memory import ImagesInMemory
from nasformer.data.prefetch import prefetched
from nasformer.errors import DataError

Batches = Generator[tuple[Tensor, Tensor], None, None]


def iterate(
    split: Split,
    batch_size: int,
    *,
    device: torch.device | str = "cpu",
    seed: int | None = None,
    drop_last: bool = False,
    workers: int = 0,
    start: int = 0,
    stop: int | None = None,
    rows: Tensor | None = None,
    prefetch: bool = False,
    repeats: int = 1,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ``(images (batch, channels, height, width), targets (batch, …))`` on ``device``.

    Args:
        split: The images. Its method ``batch(places, device)``, if any, returns a whole batch: ``places`` are a slice
            if in order, else an index tensor.
        batch_size: Images in a batch; the last one may hold fewer.
        device: Device of the batches.
        seed: Seed of the shuffling; None: the order of the split.
        drop_last: Drop an incomplete last batch.
        workers: Data-loader processes for images that are not in memory.
        start: First position in the order.
        stop: Position to stop before; None: the end.
        rows: Rows of each (full) batch to yield; None: all.
        prefetch: Prepare the next batch in a thread while the caller computes; not for augmented images, which share
            the caller's random numbers. Ignored for images in memory and with ``workers``.
        repeats: Copies of each image in a shuffled order, of proportionally fewer images.

    Raises:
        DataError: An image cannot be read.
    """
    stop = len(split) if stop is None else min(stop, len(split))
    if drop_last:
        stop -= (stop - start) % batch_size
    order = torch.arange(start, stop)
    if seed is not None:
        order = _shuffled(split, seed, repeats)[start:stop]
    if not len(order):
        return
    stream = seed or 0
    if rows is not None:
        order, batch_size = torch.cat([batch[rows] for batch in torch.split(order, batch_size)]), len(rows)
        stream += int(rows[0])  # ranks augment differently
    in_order = seed is None and rows is None
    where = _with_index(torch.device(device))
    if isinstance(split, ImagesInMemory):
        split, prefetch = split.to(where), False
    if hasattr(split, "batch"):
        batches, workers = _whole(split, batch_size, order, where, in_order=in_order), 0
    else:
        batches = _from_loader(split, batch_size, order, workers, where, stream)
    yield from prefetched(batches) if prefetch and not workers else batches


def _shuffled(split: Split, seed: int, repeats: int) -> Tensor:
    """Return an epoch's indices; timm's sampler runs as a single process, so all ranks share its order."""
    if repeats == 1:
        return torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    from timm.data.distributed_sampler import RepeatAugSampler

    make: Callable[..., Any] = RepeatAugSampler
    sampler = make(split, num_replicas=1, rank=0, num_repeats=repeats, selected_round=0)
    sampler.set_epoch(seed)
    return torch.tensor(list(sampler))


def _whole(split: Any, batch_size: int, order: Tensor, device: torch.device, *, in_order: bool) -> Batches:
    for places in torch.split(order, batch_size):
        yield split.batch(_run(places) if in_order else places, device)


def _run(places: Tensor) -> slice:
    return slice(int(places[0]), int(places[-1]) + 1)


def _with_index(device: torch.device) -> torch.device:
    """Make the GPU index explicit: in a new thread the current GPU is the first."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def _from_loader(
    split: Split,
    batch_size: int,
    order: Tensor,
    workers: int,
    device: torch.device,
    seed: int,
) -> Batches:
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        split,  # type: ignore[arg-type]  # any map-style dataset serves
        batch_size,
        sampler=order.tolist(),
        num_workers=workers,
        pin_memory=device.type == "cuda",
        generator=torch.Generator().manual_seed(seed),  # seeds the workers without touching global state
    )
    try:
        for images, labels in loader:
            yield images.to(device, non_blocking=True), torch.as_tensor(labels).to(device, non_blocking=True)
    except DataError as error:  # a worker's message starts with its traceback
        raise DataError(str(error).strip().splitlines()[-1].removeprefix("nasformer.errors.DataError: ")) from None
