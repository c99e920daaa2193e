"""Batches of a split: of whole batches if it has ``batch``, else a DataLoader.

In a shuffled order each example is read with random numbers of its own, from the seed and its place in the order, so
that augmentation does not depend on the number of reader processes.
"""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Callable, Generator
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from nasformer.data.dataset import Split
from nasformer.data.memory import ImagesInMemory
from nasformer.data.prefetch import prefetched
from nasformer.errors import DataError

Batches = Generator[tuple[Tensor, Tensor], None, None]
Readers = int | Literal["auto"]
"""Processes that read examples: a number, or one less than the cores, at most eight."""

MAX_READERS = 8


def reader_processes(readers: Readers, split: Split) -> int:
    """Return how many processes read a split: none if it is in memory.

    Raises:
        DataError: The number is neither "auto" nor 0 or more.
    """
    if readers != "auto" and (not isinstance(readers, int) or readers < 0):
        raise DataError(f"readers is 'auto' or a number from 0, got {readers!r}", readers)
    if hasattr(split, "batch"):
        return 0
    share = cores() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # of torchrun's processes
    return max(0, min(share - 1, MAX_READERS)) if readers == "auto" else readers


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def iterate(
    split: Split,
    batch_size: int,
    *,
    device: torch.device | str = "cpu",
    seed: int | None = None,
    drop_last: bool = False,
    readers: Readers = 0,
    start: int = 0,
    stop: int | None = None,
    rows: Tensor | None = None,
    prefetch: bool = False,
    repeats: int = 1,
    weights: Tensor | None = None,
) -> Batches:
    """Yield ``(images (batch, channels, height, width), targets (batch, …))`` on ``device``.

    Args:
        split: The images. Its method ``batch(places, device)``, if any, returns a whole batch: ``places`` are a slice
            if in order, else an index tensor.
        batch_size: Images in a batch; the last one may hold fewer.
        device: Device of the batches.
        seed: Seed of the shuffling; None: the order of the split.
        drop_last: Drop an incomplete last batch.
        readers: Processes that read images that are not in memory.
        start: First position in the order.
        stop: Position to stop before; None: the end.
        rows: Rows of each (full) batch to yield; None: all.
        prefetch: Prepare the next batch in a thread while the caller computes; not in a shuffled order, which needs the
            process's random numbers. Ignored for images in memory and with ``readers``.
        repeats: Copies of each image in a shuffled order, of proportionally fewer images.
        weights: Weights ``(images,)`` with which images are drawn, with replacement, in a shuffled order; None: each
            image once.

    Raises:
        DataError: An image cannot be read, or a reader process was killed.
    """
    stop = len(split) if stop is None else min(stop, len(split))
    if drop_last:
        stop -= (stop - start) % batch_size
    places = torch.arange(start, stop)
    order = places if seed is None else _shuffled(split, seed, repeats, weights)[start:stop]
    if not len(order):
        return
    if rows is not None:
        parts = [torch.cat([batch[rows] for batch in torch.split(each, batch_size)]) for each in (order, places)]
        (order, places), batch_size = parts, len(rows)
    in_order = seed is None and rows is None
    where = _with_index(torch.device(device))
    if isinstance(split, ImagesInMemory):
        split, prefetch = split.to(where), False
    if hasattr(split, "batch"):
        batches, processes = _whole(split, batch_size, order, where, in_order=in_order), 0
    else:
        processes, keys = reader_processes(readers, split), order.tolist()
        if seed is not None:
            keys = [*zip(places.tolist(), keys, strict=True)]
        read = split if seed is None else _Seeded(split, seed, processes > 0)
        batches = _from_loader(read, batch_size, keys, processes, where)
    yield from prefetched(batches) if prefetch and not processes else batches


class _Seeded(torch.utils.data.Dataset[Any]):
    """Examples by ``(place in the order, index)``, each read with random numbers of its place.

    Args:
        split: The examples.
        seed: Seed of the order.
        alone: Whether a process of its own reads them; else the caller's random state is restored.
    """

    def __init__(self, split: Split, seed: int, alone: bool) -> None:
        self.split, self.seed, self.alone = split, seed, alone

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, key: tuple[int, int]) -> Any:
        place, index = key
        before = None if self.alone else (random.getstate(), np.random.get_state(), torch.get_rng_state())
        number = int(np.random.SeedSequence([self.seed, place]).generate_state(1)[0])
        random.seed(number)
        np.random.seed(number)
        torch.default_generator.manual_seed(number)  # not the generators of GPUs
        try:
            return self.split[index]
        finally:
            if before is not None:
                random.setstate(before[0])
                np.random.set_state(before[1])
                torch.set_rng_state(before[2])


def _shuffled(split: Split, seed: int, repeats: int, weights: Tensor | None) -> Tensor:
    """Return an epoch's indices; timm's sampler runs as a single process, so all ranks share its order."""
    if weights is not None:
        return torch.multinomial(weights, len(split), replacement=True, generator=torch.Generator().manual_seed(seed))
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


def _context() -> Any:
    """Return how readers start: in a process group not by a fork of this process, whose threads may hold locks."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return None
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return "spawn"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["timm.data.transforms_factory", "nasformer.data.image_files"])
    return context


def _from_loader(split: Any, batch_size: int, keys: list[Any], readers: int, device: torch.device) -> Batches:
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        split,
        batch_size,
        sampler=keys,
        num_workers=readers,
        pin_memory=device.type == "cuda",
        multiprocessing_context=_context() if readers else None,
        generator=torch.Generator().manual_seed(0),  # the readers are not seeded from the caller's random state
    )
    try:
        for images, labels in loader:
            yield images.to(device, non_blocking=True), torch.as_tensor(labels).to(device, non_blocking=True)
    except DataError as error:  # a reader's message starts with its traceback
        raise DataError(str(error).strip().splitlines()[-1].removeprefix("nasformer.errors.DataError: ")) from None
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise DataError(f"a reader process was killed, perhaps for memory; use fewer readers than {readers}") from error
