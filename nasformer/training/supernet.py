"""train_supernet: one uniformly sampled subnet a step (Chen et al., ICCV 2021, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch

from nasformer.architecture import Architecture
from nasformer.data.dataset import Dataset
from nasformer.supernet.model import parameter_shapes
from nasformer.supernet.supernet import Supernet
from nasformer.training.distributed import joined, own_device
from nasformer.training.journal import Callback
from nasformer.training.loop import Task, Trainer, TrainingResult
from nasformer.training.randomness import derived
from nasformer.training.recipe import Recipe

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
) -> TrainingResult:
    """Train a supernet in place; each step trains one architecture, every dimension uniform.

    The smallest, the centroid and the largest architecture are validated on ``data.search``, which is
    never trained on.

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

    Raises:
        DataError: The images do not fit the space.
        RecipeError: The recipe does not fit the data, or there is no such device.
        CheckpointError: ``out`` holds another training, or cannot be written.
        KeyboardInterrupt: With a message that says what was kept, and how to go on.
    """
    space = net.space
    data.check(space)
    recipe = recipe or Recipe.for_dataset(data.name)
    net.set_drop_path(recipe.drop_path)

    def draws(epoch: int, steps: int) -> Sequence[Architecture]:
        return space.sample(steps, seed=derived(recipe.seed, epoch, 2))

    @lru_cache(maxsize=1024)
    def shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
        return parameter_shapes(space.geometry, architecture)

    task = Task(
        net=net,
        draws=draws,
        candidates={"smallest": space.smallest, "centroid": space.centroid, "largest": space.largest},
        identity={"space": space.fingerprint, "qkv_bias": net.qkv_bias},
        shapes=shapes,
    )
    place = own_device(device)
    with joined(place) as ranks:
        trainer = Trainer(task, data, recipe, device=place, workers=workers, ranks=ranks)
        result = trainer.run(None if out is None else Path(out), resume, progress, callback)
        net.metadata = {**net.metadata, "training": result.to_dict()}
        net.eval()
        if out is not None and ranks.leads:
            net.save(Path(out) / FILE)
    return result
