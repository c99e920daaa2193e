"""Random state of a training: one stream per epoch; the caller's global state is restored.

Each epoch's stream depends on (seed, epoch) alone, so a resumed training draws the same numbers as an
uninterrupted one. torch, NumPy and Python are all seeded, since timm's mixup and
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
    """Restore the caller's global random state on exit."""
    python, numpy = random.getstate(), np.random.get_state()
    with forked(device):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)


def forked(device: torch.device) -> AbstractContextManager[None]:
    """Return a context that restores torch's random state on exit, on the CPU and on ``device``."""
    cuda = [device.index if device.index is not None else torch.cuda.current_device()] if device.type == "cuda" else []
    context: AbstractContextManager[None] = torch.random.fork_rng(devices=cuda)
    return context


def seed_epoch(seed: int, epoch: int) -> None:
    """Seed the streams of one epoch.

    All ranks share them, as they serve the joint batch; each image is read with a stream of its own (``data.batches``).
    """
    number = derived(seed, epoch, 0)
    torch.manual_seed(number)
    np.random.seed(number)
    random.seed(number)


def derived(seed: int, epoch: int, purpose: int) -> int:
    """Return a 32-bit seed for one purpose in one epoch."""
    return int(np.random.SeedSequence([seed, epoch, purpose]).generate_state(1)[0])
