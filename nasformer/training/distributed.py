"""Training by several processes, one device each, to the weights of one process with the joint batch.

Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel Training", VLDB 2020. Every
process trains the same subnet on its own rows of each batch, and DistributedDataParallel averages the
gradients. What is drawn by image is drawn for the joint batch on every process, which keeps its own rows;
so all processes draw the same random numbers as one process would.
"""

from __future__ import annotations

import itertools
import logging
import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from nasformer.errors import CheckpointError, DistributedError, RecipeError
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
    """The processes that train together, seen from one of them; by default it is alone.

    Attributes:
        rank: Number of this process, from 0.
        count: Number of processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files and shows progress."""
        return self.rank == 0

    def check(self, recipe: Recipe) -> None:
        """Check that all processes get equal shares of a batch.

        Raises:
            RecipeError: They do not, naming the batch size.
        """
        pairs = 2 if recipe.mixes else 1
        unit = math.lcm(self.count * recipe.accumulation_steps, self.count * pairs)
        if recipe.batch_size % unit:
            passes = f" in {recipe.accumulation_steps} passes" if recipe.accumulation_steps > 1 else ""
            why = ", as mixup and cutmix pair images" if recipe.mixes else ""
            raise RecipeError(
                f"batch_size {recipe.batch_size} cannot be shared equally by {self.count} processes{passes}; "
                f"take a multiple of {unit}{why}",
                recipe,
            )

    def shard(self, batch_size: int) -> Shard | None:
        """Return this process's rows of a joint batch; None where it is alone.

        Row i is mixed with row batch_size - 1 - i, so both go to the same process, in an order in which
        the i-th row of the shard is mixed with the i-th from its end.

        >>> [Ranks(rank, 2).shard(8).rows.tolist() for rank in range(2)]
        [[0, 1, 6, 7], [2, 3, 4, 5]]
        """
        if self.count == 1:
            return None
        rows = torch.arange(batch_size)
        inwards = torch.stack((rows, rows.flip(0)), dim=1).flatten()[:batch_size]  # 0, last, 1, last but one, …
        return Shard(batch_size, inwards.chunk(self.count)[self.rank].sort().values)

    def require_shared(self, folder: Path) -> None:
        """Raise CheckpointError where this process does not see the state that the leader has written to ``folder``."""
        if not self.is_main:
            raise CheckpointError(f"process {self.rank} does not see {folder}; take a folder that all share", folder)

    def part(self, total: int) -> tuple[int, int]:
        """Return where this process's part of ``total`` images starts and where it stops."""
        return self.rank * total // self.count, (self.rank + 1) * total // self.count

    def wrap(self, net: nn.Module, device: torch.device) -> nn.Module:
        """Return what averages the gradients over all processes; ``net`` itself where it is alone."""
        if self.count == 1:
            return net
        devices = [device] if device.type == "cuda" else None
        return DistributedDataParallel(net, device_ids=devices, find_unused_parameters=True)

    def total(self, value: Tensor) -> Tensor:
        """Return the sum over all processes."""
        if self.count > 1:
            distributed.all_reduce(value)
        return value

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        """Let the others in once the leader is out.

        Raises:
            DistributedError: To the others, where the leader failed.
        """
        if self.count == 1:
            yield
            return
        news = [False]
        if not self.is_main:
            distributed.broadcast_object_list(news)
            if not news[0]:
                raise DistributedError(f"process {self.rank} cannot begin, as the first one failed")
        try:
            yield
            news[0] = True
        finally:
            if self.is_main:
                distributed.broadcast_object_list(news)


SINGLE_PROCESS = Ranks()
"""One process."""


def micro_batches(shard: Shard | None, recipe: Recipe, device: torch.device) -> list[Shard | None]:
    """Return the rows of each forward and backward pass over a process's share of a batch."""
    if recipe.accumulation_steps == 1:
        return [None if shard is None else Shard(shard.joint, shard.rows.to(device))]
    rows = torch.arange(recipe.batch_size) if shard is None else shard.rows
    return [Shard(recipe.batch_size, part.to(device)) for part in rows.chunk(recipe.accumulation_steps)]


@contextmanager
def micro_batch(net: nn.Module, shard: Shard | None, device: torch.device, *, last: bool) -> Iterator[None]:
    """Go forward and backward through ``net`` with some rows of a joint batch, which draws the numbers of it all."""
    set_shard = getattr(net, "set_shard", None)
    with ExitStack() as stack:
        if shard is not None and set_shard is not None:
            set_shard(shard)
            stack.callback(set_shard, None)
            if not last:
                stack.enter_context(forked(device))
        yield


def sync_gradients(net: nn.Module, *, last: bool) -> AbstractContextManager[object]:
    """Return the context of one backward pass; the last one of a step averages what all of them added up."""
    return net.no_sync() if isinstance(net, DistributedDataParallel) and not last else nullcontext()


def is_distributed() -> bool:
    """Whether this is one of several processes, which torchrun started or the caller has put in a group."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size() > 1
    return "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ["WORLD_SIZE"]) > 1


def is_main_process() -> bool:
    """Whether this process is alone or the first of several."""
    if not is_distributed():
        return True
    return (distributed.get_rank() if distributed.is_initialized() else int(os.environ["RANK"])) == 0


def local_device(name: str | torch.device) -> torch.device:
    """Return the device ``name`` as ``find_device`` does; of several GPUs, that of this process's local rank.

    In a group that the caller has made, "cuda" is the current one.

    Raises:
        RecipeError: There is no such device, one is named for all processes, or they cannot talk to each other on it.
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
        raise RecipeError(f"each process needs a GPU of its own, and there are {there}; start as many", there)
    return torch.device("cuda", local)


@contextmanager
def process_group(device: torch.device) -> Iterator[Ranks]:
    """Join the processes that torchrun started; without it, there is one alone.

    A process group that the caller has made is used as it is.

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
    if ours:  # after an error the others may never come to say goodbye
        distributed.destroy_process_group()


def should_report() -> bool:
    """Whether this process is to tell why the training ends; of all that torchrun started, one is.

    The first process is preferred; where it does not come to speak in time, any other does.
    """
    if not is_distributed():
        return True
    try:
        store = _store()
        if not is_main_process():
            _wait_for_report(store)
        return bool(store.add(REPORT, 1) == 1)
    except (RuntimeError, ValueError):  # nobody is left to agree with
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
    """Return what torchrun's processes share, under a name that each restart of theirs makes new."""
    from torch.distributed.rendezvous import rendezvous  # absent where torch is built for one process

    store, _, _ = next(rendezvous("env://"))
    return _named(f"nasformer {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)


def _named(prefix: str, store: Any) -> Any:
    return distributed.PrefixStore(prefix, store)  # type: ignore[attr-defined]  # public, but not declared so


def _wait_for_report(store: Any) -> None:
    """Wait until another process has spoken; in vain where the first one waits for this one."""
    until = time.monotonic() + REPORT_WAIT_S
    while time.monotonic() < until and not store.check([REPORT]):
        time.sleep(0.05)
