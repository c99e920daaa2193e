"""Random numbers of a training: a fresh stream for each epoch, and none of it left behind.

As each epoch's stream follows from (seed, epoch) alone, a resumed training draws what an
uninterrupted one would have drawn. torch, NumPy and Python are all seeded, since timm's mixup and
augmentations draw from the latter two.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch


@contextmanager
def isolated(device: torch.device) -> Iterator[None]:
    """Give the caller's global random state back at the end."""
    python, numpy = random.getstate(), np.random.get_state()
    with forked(device):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def forked(device: torch.device) -> AbstractContextManager[None]:
    """Return the context at whose end torch's random state, on the CPU and on ``device``, is as before."""
    cuda = [device.index if device.index is not None else torch.cuda.current_device()] if device.type == "cuda" else []
    context: AbstractContextManager[None] = torch.random.fork_rng(devices=cuda)
    return context


def seed_epoch(seed: int, epoch: int, rank: int = 0) -> None:
    """Start the streams of one epoch.

    Processes that train together share those of torch and NumPy, which serve the joint batch, and differ
    in Python's, from which timm draws for each image that it reads.
    """
    number = derived(seed, epoch, 0)
    torch.manual_seed(number)
    np.random.seed(number)
    random.seed(number + rank)


def derived(seed: int, epoch: int, purpose: int) -> int:
    """Return a 32-bit seed for one purpose in one epoch."""
    return int(np.random.SeedSequence([seed, epoch, purpose]).generate_state(1)[0])
