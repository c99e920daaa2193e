"""Assessment of a trained network: test metrics per class, and speed on this machine."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from nasformer.data.batches import iterate
from nasformer.data.dataset import Dataset, Split
from nasformer.supernet.latency import describe_device, measure_networks
from nasformer.supernet.model import VisionTransformer

THROUGHPUT_BATCH = 64


def measure_on_test(net: VisionTransformer, data: Dataset, device: torch.device, *, workers: int = 0) -> dict[str, Any]:
    """Return test accuracy in percent, loss in nats, confusion matrix and accuracy per class.

    Row i of the confusion matrix counts the images of class i by predicted class.
    """
    confusion, loss = _confusion(net, data.test, data.num_classes, device, workers)
    images, right = confusion.sum(dim=1).tolist(), confusion.diagonal().tolist()
    per_class = [
        {"class": name, "images": count, "accuracy": 100.0 * hits / count if count else None}
        for name, count, hits in zip(data.classes, images, right, strict=True)
    ]
    total = sum(images)
    figures = {"images": total, "accuracy": 100.0 * sum(right) / total, "loss": loss / total}
    return {**figures, "per_class": per_class, "confusion": confusion.tolist()}


def speed(net: VisionTransformer, device: torch.device, *, repeats: int = 20) -> dict[str, Any]:
    """Return latency (ms, batch size 1) and throughput (images/s) on this machine, as medians."""
    options: dict[str, Any] = {"device": device, "repeats": repeats}
    one = measure_networks(net.geometry, [net.architecture], **options)[0]
    many = measure_networks(net.geometry, [net.architecture], batch_size=THROUGHPUT_BATCH, **options)[0]
    return {
        "device": describe_device(device),
        "latency_ms": one / 1e3,
        "images_per_second": THROUGHPUT_BATCH / (many / 1e6),
        "batch_size": THROUGHPUT_BATCH,
        "repeats": repeats,
    }


def _confusion(
    net: VisionTransformer, split: Split, num_classes: int, device: torch.device, workers: int
) -> tuple[torch.Tensor, float]:
    training = net.training
    net.to(device).eval()
    counts, loss = torch.zeros(num_classes**2, dtype=torch.long), 0.0
    with torch.inference_mode():
        for images, labels in iterate(split, 256, device=device, workers=workers, prefetch=True):
            logits = net(images)
            places = labels * num_classes + logits.argmax(dim=1)
            counts += torch.bincount(places, minlength=num_classes**2).cpu()
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
    net.train(training)
    return counts.view(num_classes, num_classes), loss
