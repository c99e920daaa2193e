"""Assessment of a trained network: test metrics with details, and speed on this machine."""

from __future__ import annotations

from typing import Any

import torch

from nasformer.data.batches import Readers
from nasformer.data.dataset import Dataset
from nasformer.errors import RecipeError
from nasformer.latency.measure import make_runtime, measure_in
from nasformer.supernet.model import VisionTransformer
from nasformer.tasks import Task
from nasformer.training.validation import outputs_of

THROUGHPUT_BATCH = 64


def outputs_on_test(
    net: VisionTransformer, data: Dataset, device: torch.device, *, readers: Readers = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return outputs ``(examples, outputs)`` and targets of the test examples, on the CPU."""
    parts = [*outputs_of(net.to(device), data.test, device=device, batch_size=256, readers=readers)]
    outputs, targets = (torch.cat(column).cpu() for column in zip(*parts, strict=True))
    return outputs, targets


def assess(task: Task, outputs: torch.Tensor, targets: torch.Tensor) -> dict[str, Any]:
    """Return every metric of a task on outputs ``(examples, outputs)`` and their targets, as plain values.

    ``standard_error`` has the sampling error of each objective, if examples are independent.

    Raises:
        RecipeError: An output is not finite, as after a diverged training.
    """
    if not outputs.isfinite().all():
        first = int((~outputs.isfinite()).any(dim=1).nonzero()[0])
        raise RecipeError(
            f"the network gives NaN or infinity for {task.example} {first} of the test split, as after a diverged "
            "training; train again at a lower learning_rate",
            first,
        )
    scores = {name: each.numpy() for name, each in task.scores(outputs, targets).items()}
    found = {name: task.estimate(name, scores) for name in task.objectives}
    means = {name: each.value for name, each in found.items()}
    errors = {name: float(each.examples.std()) / len(outputs) ** 0.5 for name, each in found.items()}
    further = task.evaluate(outputs.numpy(), targets.numpy())
    return {task.examples: len(outputs), **means, "standard_error": errors if task.independent else {}, **further}


def mistakes(data: Dataset, outputs: torch.Tensor, targets: torch.Tensor, count: int = 8) -> list[dict[str, Any]]:
    """Return the test images that a classifier gets wrong with the highest probability, most confident first.

    Each has its place in the split, ``class``, ``predicted`` and ``probability`` in percent; none of other tasks.
    """
    if data.task.name != "classification" or len(data.input_shape) != 3:
        return []
    probabilities, predicted = outputs.softmax(dim=1).max(dim=1)
    wrong = (predicted != targets).nonzero()[:, 0]
    return [
        {
            "image": place,
            "class": data.classes[int(targets[place])],
            "predicted": data.classes[int(predicted[place])],
            "probability": 100 * float(probabilities[place]),
        }
        for place in wrong[probabilities[wrong].argsort(descending=True)[:count]].tolist()
    ]


def speed(net: VisionTransformer, device: torch.device, *, repeats: int = 20) -> dict[str, Any]:
    """Return latency (ms, batch size 1) and throughput (images/s) on this machine, as medians."""
    engine = make_runtime("torch", None, "fp32", device)
    one, many = (measure_in(engine, [net], None, size, repeats)[0].median_ms for size in (1, THROUGHPUT_BATCH))
    return {
        "device": engine.describe(),
        "latency_ms": one,
        "images_per_second": 1e3 * THROUGHPUT_BATCH / many,
        "batch_size": THROUGHPUT_BATCH,
        "repeats": repeats,
    }
