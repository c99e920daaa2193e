"""Scores of a network, or of one subnet of a supernet, on a split."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from nasformer.architecture import Architecture
from nasformer.data.batches import Readers, iterate
from nasformer.data.dataset import Split
from nasformer.tasks import Task, get_task


class Score(dict[str, float]):
    """Metrics by name, also as attributes: of a classification ``accuracy`` in percent and ``loss`` in nats."""

    def __getattr__(self, name: str) -> float:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no metric {name!r}; known: {', '.join(self)}") from None


def evaluate(
    net: nn.Module,
    split: Split,
    architecture: Architecture | None = None,
    *,
    task: Task | None = None,
    device: torch.device | str = "cpu",
    batch_size: int = 512,
    amp: bool = False,
    readers: Readers = 0,
) -> Score:
    """Return the score of ``net``, or of its subnet ``architecture``, on ``split``.

    Args:
        net: A network on ``device``; its training mode is restored.
        split: The images.
        architecture: A subnet of ``net``; None: the whole network.
        task: Task of the images; None: a classification.
        device: Device of the network.
        batch_size: Images per batch.
        amp: Whether to compute in bfloat16.
        readers: Processes that read images that are not in memory.
    """
    task = task or get_task("classification")()
    options = {"device": device, "batch_size": batch_size, "amp": amp, "readers": readers}
    totals = total_scores(net, split, task, architecture, **options)
    return Score(task.means(totals, len(split)))


def total_scores(
    net: nn.Module, split: Split, task: Task, architecture: Architecture | None = None, **options: Any
) -> dict[str, Tensor]:
    """Return the ``totals`` of a task over a split, or over a part of it.

    The arguments are those of ``outputs_of``.
    """
    totals: dict[str, Tensor] = {}
    for outputs, targets in outputs_of(net, split, architecture, **options):
        for name, total in task.totals(outputs, targets).items():
            totals[name] = totals[name] + total if name in totals else total
    return totals


def outputs_of(
    net: nn.Module,
    split: Split,
    architecture: Architecture | None = None,
    *,
    device: torch.device | str = "cpu",
    batch_size: int = 512,
    amp: bool = False,
    readers: Readers = 0,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield outputs ``(batch, outputs)`` in float32 and targets of the images from ``start`` to ``stop``.

    The other arguments are those of ``evaluate``.
    """
    training = net.training
    net.eval()
    device = torch.device(device)
    try:
        batches = iterate(split, batch_size, device=device, readers=readers, start=start, stop=stop, prefetch=True)
        for images, targets in batches:
            with torch.inference_mode(), autocast(device, amp):
                outputs = (net(images) if architecture is None else net(images, architecture)).float()
            yield outputs, targets
    finally:
        net.train(training)


def autocast(device: torch.device, amp: bool) -> AbstractContextManager[object]:
    """Return a context that computes in bfloat16 on ``device`` if ``amp``."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=amp)
