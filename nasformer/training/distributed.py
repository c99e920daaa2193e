"""Data-parallel training: the same weights as one process with the joint batch, up to rounding.

Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", VLDB 2020. Every
process trains the same subnet on its shard of each batch, and DistributedDataParallel averages the
gradients. Every process draws the random numbers of the joint batch and keeps those of its shard,
so the random stream equals that of a single process.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from nasformer.errors import CheckpointError, DistributedError, RecipeError
from nasformer.supernet import VisionTransformer
from nasformer.supernet.layers import Shard
from nasformer.training.device import find_device
from nasformer.training.randomness import forked
from nasformer.training.recipe import Recipe

REPORT = "reported"
REPORT_WAIT_S = 3.0
_LOST_PEER = re.compile(r"gloo|nccl|connection (closed|reset)|broken pipe", re.IGNORECASE)
_trainings = itertools.count()


@dataclass(frozen=True)
class Ranks:
    """Rank of this process and number of processes (world size); default: a single process.

    Attributes:
        rank: Rank of this process, from 0.
        count: Number of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is the main process, which writes files and shows progress."""
        return self.rank == 0

    def check(self, recipe: Recipe) -> None:
        """Check that a batch divides equally among the processes.

        Raises:
            RecipeError: It does not; the message names the batch size.
        """
        pairs = 2 if recipe.mixes else 1
        unit = math.lcm(self.count * recipe.accumulation_steps, self.count * pairs)
        if recipe.batch_size % unit:
            passes = f" in {recipe.accumulation_steps} passes" if recipe.accumulation_steps > 1 else ""
            why = ", as mixup and cutmix pair images" if recipe.mixes else ""
            raise RecipeError(
                f"batch_size {recipe.batch_size} does not divide equally among {self.count} processes{passes}; "
                f"take a multiple of {unit}{why}",
                recipe,
            )

    def shard(self, batch_size: int) -> Shard | None:
        """Return this process's shard of a joint batch; None for a single process.

        Mixup pairs row i with row batch_size - 1 - i. Both go to the same process, ordered so that it
        pairs the i-th row of the shard with the i-th from its end.

        >>> [Ranks(rank, 2).shard(8).rows.tolist() for rank in range(2)]
        [[0, 1, 6, 7], [2, 3, 4, 5]]
        """
        if self.count == 1:
            return None
        rows = torch.arange(batch_size)
        inwards = torch.stack((rows, rows.flip(0)), dim=1).flatten()[:batch_size]  # 0, last, 1, last but one, …
        return Shard(batch_size, inwards.chunk(self.count)[self.rank].sort().values)

    def require_shared(self, folder: Path) -> None:
        """Raise CheckpointError if this process cannot see the state that the main process wrote to ``folder``."""
        if not self.is_main:
            raise CheckpointError(f"process {self.rank} does not see {folder}; use a shared folder", folder)

    def part(self, total: int) -> tuple[int, int]:
        """Return start and stop of this process's part of ``total`` images."""
        return self.rank * total // self.count, (self.rank + 1) * total // self.count

    def wrap(self, net: nn.Module, device: torch.device) -> nn.Module:
        """Return ``net`` in DistributedDataParallel; for a single process, ``net`` itself."""
        if self.count == 1:
            return net
        devices = [device] if device.type == "cuda" else None
        return DistributedDataParallel(net, device_ids=devices, find_unused_parameters=True)

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over all processes (all-reduce)."""
        if self.count > 1:
            distributed.all_reduce(value)
        return value

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        """Run the context in the main process first, then in the others.

        Raises:
            DistributedError: In the other processes, if the main process failed.
        """
        if self.count == 1:
            yield
            return
        succeeded = [False]
        if not self.is_main:
            distributed.broadcast_object_list(succeeded)
            if not succeeded[0]:
                raise DistributedError(f"process {self.rank} cannot start: the main process failed")
        try:
            yield
            succeeded[0] = True
        finally:
            if self.is_main:
                distributed.broadcast_object_list(succeeded)


SINGLE_PROCESS = Ranks()
"""Training without process group."""


def micro_batches(shard: Shard | None, recipe: Recipe, device: torch.device) -> list[Shard | None]:
    """Return the rows of each micro-batch (gradient accumulation) of a process's shard."""
    if recipe.accumulation_steps == 1:
        return [None if shard is None else Shard(shard.joint, shard.rows.to(device))]
    rows = torch.arange(recipe.batch_size) if shard is None else shard.rows
    return [Shard(recipe.batch_size, part.to(device)) for part in rows.chunk(recipe.accumulation_steps)]


@contextmanager
def micro_batch(net: nn.Module, shard: Shard | None, device: torch.device, *, last: bool) -> Iterator[None]:
    """Run forward and backward passes of one micro-batch; random numbers are drawn for the joint batch."""
    with forked(device) if shard is not None and takes_shard(net) and not last else nullcontext():
        yield


def takes_shard(net: nn.Module) -> bool:
    """Whether a network accepts ``shard``, its rows of the joint batch."""
    return isinstance(net, VisionTransformer)


def sync_gradients(net: nn.Module, *, last: bool) -> AbstractContextManager[object]:
    """Return the context of a backward pass; only the last of a step synchronises the accumulated gradients."""
    return net.no_sync() if isinstance(net, DistributedDataParallel) and not last else nullcontext()


def is_distributed() -> bool:
    """Whether this is one of several processes, started by torchrun or in the caller's process group."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size() > 1
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ["WORLD_SIZE"]) > 1


def is_main_process() -> bool:
    """Whether this is the main process: the only one, or rank 0."""
    if not is_distributed():
        return True
    return (distributed.get_rank() if distributed.is_initialized() else int(os.environ["RANK"])) == 0


def local_device(name: str | torch.device) -> torch.device:
    """Return the device ``name`` as ``find_device`` does; under torchrun, the GPU of the local rank.

    In the caller's process group, "cuda" is the current device.

    Raises:
        RecipeError: The device is unavailable, has an index shared by all processes, or has no communication backend.
    """
    if not is_distributed() or distributed.is_initialized():
        return find_device(name)
    local, there = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if local < there:
        torch.cuda.set_device(local)
    device = find_device(name)
    if device.type == "cpu":
        return device
    if device != torch.device("cuda"):
        raise RecipeError(f"device {str(name)!r} cannot serve several processes; take 'cuda' or 'cpu'", name)
    if local >= there:
        raise RecipeError(f"each process needs its own GPU, but there are {there}; start {there} processes", there)
    return torch.device("cuda", local)


@contextmanager
def process_group(device: torch.device) -> Iterator[Ranks]:
    """Join the process group of torchrun; without torchrun, yield a single process.

    An existing process group of the caller is used.

    Raises:
        DistributedError: Another process ended.
    """
    if not is_distributed():
        yield Ranks()
        return
    ours = not distributed.is_initialized()
    if ours:
        _join(device)
    ranks = Ranks(distributed.get_rank(), distributed.get_world_size())
    try:
        yield ranks
    except RuntimeError as error:
        if isinstance(error, distributed.DistError) or _LOST_PEER.search(str(error)):
            raise DistributedError(f"process {ranks.rank} of {ranks.count} lost the others; one has ended") from error
        raise
    if ours:  # after an error the others may never reach this barrier
        distributed.destroy_process_group()


def should_report() -> bool:
    """Whether this process should report why the training ends; exactly one of torchrun's processes should.

    The main process is preferred; if it does not report in time, any other does.
    """
    if not is_distributed():
        return True
    try:
        store = _store()
        if not is_main_process():
            _wait_for_report(store)
        return bool(store.add(REPORT, 1) == 1)
    except (RuntimeError, ValueError):  # the other processes are gone
        return is_main_process()


def _join(device: torch.device) -> None:
    rank, count = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if rank:
        logging.getLogger("nasformer").setLevel(logging.WARNING)
    distributed.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        store=_named(f"training {next(_trainings)}", _store()),
        rank=rank,
        world_size=count,
        device_id=device if device.type == "cuda" else None,
    )


@lru_cache(maxsize=1)
def _store() -> Any:
    """Return the key-value store of torchrun's processes, with a prefix that is new at each restart."""
    from torch.distributed.rendezvous import rendezvous  # absent in torch builds without distributed

    store, _, _ = next(rendezvous("env://"))
    return _named(f"nasformer {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)


def _named(prefix: str, store: Any) -> Any:
    return distributed.PrefixStore(prefix, store)  # type: ignore[attr-defined]  # public, but not declared so


def _wait_for_report(store: Any) -> None:
    """Wait until another process has reported, or time is up: the main process may be waiting for this one."""
    until = time.monotonic() + REPORT_WAIT_S
    while time.monotonic() < until and not store.check([REPORT]):
        time.sleep(0.05)
