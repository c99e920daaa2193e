"""train_supernet: sampled subnets at each step, all of which share one network's weights."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from nasformer.architecture import Architecture
from nasformer.data.dataset import Dataset
from nasformer.supernet.supernet import Supernet
from nasformer.training.distributed import local_device, process_group
from nasformer.training.log import Callback
from nasformer.training.loop import Trainer, TrainingTask
from nasformer.training.recipe import Recipe
from nasformer.training.result import TrainingResult
from nasformer.training.sampling import Sampler, reference_subnets
from nasformer.training.teacher import Teacher

FILE = "supernet.safetensors"


def train_supernet(
    net: Supernet,
    data: Dataset,
    recipe: Recipe | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    device: str | torch.device = "auto",
    progress: bool = True,
    callback: Callback | None = None,
    workers: int = 0,
    teacher: nn.Module | Teacher | None = None,
) -> TrainingResult:
    """Train a supernet in place; each step trains one architecture, every dimension uniform, or as the recipe samples.

    The smallest, the centroid and the largest architecture (within the recipe's budget) are validated on
    ``data.search``, which is never trained on.

    Args:
        net: The supernet; it ends up on ``device``, with the recipe's drop-path, in evaluation mode.
        data: The images.
        recipe: How; None: one that suits the dataset.
        out: Folder for ``supernet.safetensors``, the JSONL log and the state to resume from; None: nothing is kept.
        resume: Go on from the state in ``out``; the weights become those of an uninterrupted training.
        device: "auto" is the first of cuda, mps and cpu that is there.
        progress: Whether to show a bar.
        callback: Called with the row of each epoch.
        workers: Processes that read images that are not in memory.
        teacher: A network from images to logits that every subnet learns from beside the labels, but those that
            learn from the largest of a sandwich.

    Raises:
        DataError: The images do not fit the space.
        BudgetError: The recipe's budget cannot be read, or nothing meets it.
        RecipeError: The recipe does not fit the data, the teacher has other classes, or there is no such device.
        CheckpointError: ``out`` holds another training, or cannot be written.
        KeyboardInterrupt: With a message that says what was kept, and how to go on.
    """
    space = net.space
    data.check(space)
    recipe = recipe or Recipe.for_dataset(data.name)
    net.set_drop_path(recipe.drop_path)

    @lru_cache(maxsize=1024)
    def shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
        return net.taking_part(architecture)

    task = TrainingTask(
        net=net,
        draws=Sampler(space, recipe),
        candidates=reference_subnets(space, recipe),
        identity={"space": space.fingerprint, "qkv_bias": net.qkv_bias, "weight_sharing": net.sharing.name},
        shapes=shapes,
        teacher=None if teacher is None else Teacher.of(teacher),
    )
    place = local_device(device)
    with process_group(place) as ranks:
        trainer = Trainer(task, data, recipe, device=place, workers=workers, ranks=ranks)
        result = trainer.run(None if out is None else Path(out), resume, progress, callback)
        net.metadata = {**net.metadata, "training": result.to_dict()}
        net.eval()
        if out is not None and ranks.is_main:
            net.save(Path(out) / FILE)
    return result
