"""The same fine-tuning for every cut network: all photos, their labels, and the checkpoint's outputs on each crop.

AdamW after a short warm-up at a linearly falling rate. A seed sets the order and the crops of the photos, so that the
checkpoint's outputs are computed once and every network sees the same batches.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from benchmarks._checkpoint.images import Images
from benchmarks._checkpoint.pretraining import hits
from nasformer._io import atomic

EPOCHS, BATCH, RATE, DECAY, WARMUP = 3, 64, 1.5e-4, 0.05, 30


@dataclass(frozen=True)
class Lessons:
    """The batches of a fine-tuning.

    Attributes:
        photos: Images and labels.
        seed: Of their order and crops.
        outputs: The checkpoint's outputs (steps, BATCH, classes).
    """

    photos: Images
    seed: int
    outputs: Tensor

    @property
    def an_epoch(self) -> int:
        """Steps of an epoch; the last images of an incomplete batch wait for the next order."""
        return len(self.photos) // BATCH

    def crops(self, step: int) -> tuple[Tensor, Tensor]:
        """Return the images and labels of a step."""
        epoch, place = divmod(step, self.an_epoch)
        order = torch.randperm(len(self.photos), generator=_generator(self.seed, 0, epoch))
        batch = self.photos[order[place * BATCH : (place + 1) * BATCH]]
        return batch.augmented(_generator(self.seed, 1, step)), batch.labels


def _generator(seed: int, kind: int, place: int) -> torch.Generator:
    return torch.Generator().manual_seed((seed * 2 + kind) * 1_000_003 + place)


def lessons(teacher: nn.Module, photos: Images, seed: int, cache: Path) -> Lessons:
    """Return the batches of all epochs; the checkpoint's outputs are kept in ``cache``."""
    found = Lessons(photos, seed, torch.empty(0))
    if not cache.is_file():
        with torch.inference_mode():
            outputs = [teacher(found.crops(step)[0]) for step in range(EPOCHS * found.an_epoch)]
        with atomic(cache) as file:
            torch.save(torch.stack(outputs), file)
    return Lessons(photos, seed, torch.load(cache, weights_only=True))


def tune(
    net: nn.Module, given: Lessons, test: Images, judged: tuple[int, ...] = (1, EPOCHS)
) -> tuple[dict[int, Tensor], float]:
    """Fine-tune a copy of a network.

    Returns:
        Which test images it gets right after the epochs ``judged``, and the processor seconds of its training.
    """
    net, steps, found = copy.deepcopy(net), EPOCHS * given.an_epoch, dict[int, Tensor]()
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY, fused=True)
    seconds, start = 0.0, time.process_time()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min((step + 1) / WARMUP, (steps - step) / max(steps - WARMUP, 1))
        net.train()
        images, labels = given.crops(step)
        outputs, wanted = net(images), given.outputs[step]
        taught = kl_div(log_softmax(outputs, 1), log_softmax(wanted, 1), reduction="batchmean", log_target=True)
        optimizer.zero_grad()
        (0.5 * cross_entropy(outputs, labels) + 0.5 * taught).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        epoch, rest = divmod(step + 1, given.an_epoch)
        if not rest and epoch in judged:
            seconds += time.process_time() - start
            found[epoch], start = hits(net, test), time.process_time()
    return found, seconds
