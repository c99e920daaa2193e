"""train_supernet: weight-sharing training on subnets sampled at each step."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from nasformer.architecture import Architecture
from nasformer.data.batches import Readers
from nasformer.data.dataset import Dataset
from nasformer.data.examine import examined
from nasformer.errors import CheckpointError
from nasformer.supernet.checkpoint import fingerprint
from nasformer.supernet.supernet import Supernet
from nasformer.training.defaults import default_recipe
from nasformer.training.distributed import local_device, process_group
from nasformer.training.log import Callback, logger
from nasformer.training.loop import Trainer, TrainingTask, renamed
from nasformer.training.recipe import Recipe
from nasformer.training.result import STARTED_FROM, TrainingResult, trained
from nasformer.training.sampling import Sampler, reference_subnets
from nasformer.training.teacher import Teacher
from nasformer.training.weights import bind_weights

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
    readers: Readers = 0,
    teacher: nn.Module | Teacher | None = None,
    workers: int | None = None,
    keep: bool = True,
) -> TrainingResult:
    """Train a supernet in place; each step samples one architecture uniformly per dimension, or as the recipe says.

    The smallest, the centroid and the largest architecture (within the recipe's budget) are validated on
    ``data.search``, which is never trained on. Weights that were loaded from a file are trained further; the metadata
    then name it.

    Args:
        net: The supernet; left on ``device``, with the recipe's drop-path, in evaluation mode.
        data: The dataset.
        recipe: Training recipe; None: the dataset's default.
        out: Folder for ``supernet.safetensors``, the JSONL log and the resumable state; None: nothing is saved, nor
            kept.
        resume: Resume from the state in ``out``; the weights equal those of an uninterrupted training.
        device: "auto" is the first available of cuda, mps and cpu.
        progress: Whether to show a progress bar.
        callback: Called with the row of each epoch.
        readers: Processes that read and augment images that are not in memory; "auto": one less than the cores, at most
            eight. The result does not depend on it.
        teacher: Distillation teacher, from images to logits, of all subnets but those that
            learn from the largest of a sandwich.
        workers: Deprecated name of ``readers``.
        keep: Whether the weights in ``out`` are kept for the space and the data, where searches find them.

    Raises:
        DataError: The images do not fit the space.
        BudgetError: The recipe's budget cannot be parsed, or nothing meets it.
        RecipeError: The recipe does not fit the data, the teacher has other classes, or the device is unavailable.
        CheckpointError: ``out`` holds another training, or cannot be written.
        DivergenceError: A loss or a weight is no longer finite. ``net`` and ``out`` then have the last finite epoch,
            from which ``resume`` goes on, also with another learning_rate, grad_clip or amp.
        KeyboardInterrupt: The message says what was saved, and how to resume.
    """
    space = net.space
    data.check(space)
    data = examined(data)
    recipe = recipe or default_recipe(data, device)
    net.set_drop_path(recipe.drop_path)
    start, net.file = _start(net, out), None

    @lru_cache(maxsize=1024)
    def shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
        return net.active_shapes(architecture)

    identity = {"space": space.fingerprint, "qkv_bias": net.qkv_bias, "weight_sharing": net.sharing.name}
    task = TrainingTask(
        net=net,
        draws=Sampler(space, recipe),
        candidates=reference_subnets(space, recipe),
        identity=identity | ({"start": start["weights"]} if start else {}),
        shapes=shapes,
        teacher=None if teacher is None else Teacher.of(teacher),
    )
    place = local_device(device)
    with process_group(place) as ranks:
        trainer = Trainer(task, data, recipe, device=place, readers=renamed(readers, workers), ranks=ranks)
        result = trainer.run(None if out is None else Path(out), resume, progress, callback)
        net.metadata = {**net.metadata, STARTED_FROM: start, **trained(result, data)}
        net.eval()
        if out is not None and ranks.is_main:
            net.save(Path(out) / FILE)
            if keep:
                _keep(net, Path(out) / FILE)
    return result


def _start(net: Supernet, out: str | Path | None) -> dict[str, str]:
    """Return the file of the initial weights and their hash; empty if they are of no file."""
    if net.file is None:
        return {}
    if out is not None and net.file == (Path(out) / FILE).absolute():  # they are of this training
        return dict(net.metadata.get(STARTED_FROM, {}))
    return {"file": str(net.file), "weights": fingerprint(net)[:16]}


def _keep(net: Supernet, file: Path) -> None:
    try:
        bind_weights(net.space, file)
    except CheckpointError as error:
        logger.warning("%s; searches need --supernet %s", error, file)
