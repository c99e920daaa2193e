"""Accuracy and loss of a network, or of one subnet of a supernet, on a split."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasformer.architecture import Architecture
from nasformer.data.batches import iterate
from nasformer.data.dataset import Split


class Score(NamedTuple):
    """Top-1 accuracy in percent, and cross-entropy in nats."""

    accuracy: float
    loss: float


def evaluate(
    net: nn.Module,
    split: Split,
    architecture: Architecture | None = None,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 512,
    amp: bool = False,
    workers: int = 0,
) -> Score:
    """Return the score of ``net``, or of its subnet ``architecture``, on ``split``.

    Args:
        net: A network on ``device``; its training mode is restored.
        split: The images.
        architecture: A subnet of ``net``; None: the whole network.
        device: Device of the network.
        batch_size: Images per batch.
        amp: Whether to compute in bfloat16.
        workers: Data-loader processes for images that are not in memory.
    """
    correct, loss = count_correct(
        net, split, architecture, device=device, batch_size=batch_size, amp=amp, workers=workers
    )
    return Score(100.0 * int(correct) / len(split), float(loss) / len(split))


def count_correct(
    net: nn.Module,
    split: Split,
    architecture: Architecture | None = None,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 512,
    amp: bool = False,
    workers: int = 0,
    start: int = 0,
    stop: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the number of correct classifications and the sum of losses over the images from ``start`` to ``stop``.

    The other arguments are those of ``evaluate``.
    """
    training = net.training
    net.eval()
    device = torch.device(device)
    correct = torch.zeros((), dtype=torch.long, device=device)
    loss = torch.zeros((), device=device)
    with torch.inference_mode(), autocast(device, amp):
        batches = iterate(split, batch_size, device=device, workers=workers, start=start, stop=stop, prefetch=True)
        for images, labels in batches:
            logits = (net(images) if architecture is None else net(images, architecture)).float()
            correct += (logits.argmax(dim=1) == labels).sum()
            loss += F.cross_entropy(logits, labels, reduction="sum")
    net.train(training)
    return correct, loss


def autocast(device: torch.device, amp: bool) -> AbstractContextManager[object]:
    """Return a context that computes in bfloat16 on ``device`` if ``amp``."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=amp)
