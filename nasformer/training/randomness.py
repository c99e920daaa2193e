"""Random numbers of a training: a fresh stream for each epoch, and none of it left behind.

As each epoch's stream follows from (seed, epoch) alone, a resumed training draws what an
uninterrupted one would have drawn. torch, NumPy and Python are all seeded, since timm's mixup and
augmentations draw from the latter two.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def isolated(device: torch.device) -> Iterator[None]:
    """Give the caller's global random state back at the end."""
    python, numpy = random.getstate(), np.random.get_state()
    cuda = [device.index if device.index is not None else torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def seed_epoch(seed: int, epoch: int) -> None:
    """Start the streams of one epoch."""
    number = derived(seed, epoch, 0)
    torch.manual_seed(number)
    np.random.seed(number)
    random.seed(number)


def derived(seed: int, epoch: int, purpose: int) -> int:
    """Return a 32-bit seed for one purpose in one epoch."""
    return int(np.random.SeedSequence([seed, epoch, purpose]).generate_state(1)[0])
