"""train_supernet: weight-sharing training on subnets sampled at each step."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import cast

import torch
from torch import nn

from nasformer.architecture import Architecture
from nasformer.data.batches import Readers
from nasformer.data.dataset import Dataset
from nasformer.data.examine import examined
from nasformer.errors import CheckpointError
from nasformer.supernet.model import VisionTransformer
from nasformer.supernet.supernet import Supernet
from nasformer.training.defaults import default_recipe, family_recipe
from nasformer.training.distributed import is_main_process, local_device, process_group
from nasformer.training.log import Callback, logger
from nasformer.training.loop import Trainer, TrainingTask, renamed
from nasformer.training.origin import STARTED_FROM, origin_of, original_of
from nasformer.training.recipe import Recipe
from nasformer.training.result import TrainingResult, trained
from nasformer.training.sampling import SamplingSchedule
from nasformer.training.state import FILE as STATE
from nasformer.training.teacher import Teacher, from_checkpoint, load_teacher
from nasformer.training.weights import bind_weights

FILE = "supernet.safetensors"
ORIGINAL = "original.safetensors"


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

    The smallest, the centroid and the largest architecture (within the recipe's budget, or of its candidates) are
    validated on ``data.search``, which is never trained on. Weights that were loaded from a file are trained further;
    the metadata then name it, and the candidates if the recipe chooses them.

    Args:
        net: The supernet; left on ``device``, with the recipe's drop-path, in evaluation mode.
        data: The dataset.
        recipe: Training recipe; None: the dataset's default, for a family from a checkpoint ``family_recipe``.
        out: Folder for ``supernet.safetensors``, the JSONL log and the resumable state; None: nothing is saved, nor
            kept.
        resume: Resume from the state in ``out``; the weights equal those of an uninterrupted training.
        device: "auto" is the first available of cuda, mps and cpu.
        progress: Whether to show a progress bar.
        callback: Called with the row of each epoch.
        readers: Processes that read and augment images that are not in memory; "auto": one less than the cores, at most
            eight. The result does not depend on it.
        teacher: Distillation teacher, from images to logits, of all subnets but those that
            learn from larger ones of a sandwich. None: of a family from a checkpoint the original model (see
            ``teacher.original``), kept in ``out`` as ``original.safetensors``, unless the recipe has ``distillation:
            off``; of others none.
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
    recipe = recipe or (family_recipe if from_checkpoint(net) else default_recipe)(data, device)
    net.set_drop_path(recipe.drop_path)
    folder = None if out is None else Path(out)

    @lru_cache(maxsize=1024)
    def shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
        return net.active_shapes(architecture)

    identity = {"space": space.fingerprint, "qkv_bias": net.qkv_bias, "weight_sharing": net.sharing.name}
    taught = _default_teacher(net, recipe, folder) if teacher is None else Teacher.of(teacher)
    files = (None, None) if folder is None else (folder / FILE, folder / ORIGINAL)
    origin, net.file = origin_of(net, *files), None
    draws = SamplingSchedule(space, recipe)
    task = TrainingTask(
        net=net,
        draws=draws,
        candidates=draws.sampler.references(),
        identity=identity | ({"start": origin[STARTED_FROM]["weights"]} if STARTED_FROM in origin else {}),
        shapes=shapes,
        teacher=taught,
        sampler=draws.sampler,
    )
    place = local_device(device)
    with process_group(place) as ranks:
        trainer = Trainer(task, data, recipe, device=place, readers=renamed(readers, workers), ranks=ranks)
        result = trainer.run(folder, resume, progress, callback)
        net.metadata = {**net.metadata, **origin, **trained(result, data)}
        if draws.sampler.candidates is not None:
            net.metadata["training"]["candidates"] = [each.to_dict() for each in draws.sampler.candidates]
        net.eval()
        if folder is not None and ranks.is_main:
            net.save(folder / FILE)
            if keep:
                _keep(net, folder / FILE)
    return result


def _keep(net: Supernet, file: Path) -> None:
    try:
        bind_weights(net.space, file)
    except CheckpointError as error:
        logger.warning("%s; searches need --supernet %s", error, file)


def _default_teacher(net: Supernet, recipe: Recipe, folder: Path | None) -> Teacher | None:
    """Return the original model of a family, None if there is none; of a begun training, the one it began with."""
    if recipe.distillation == "off":
        return None
    if folder is not None and (folder / STATE).exists():
        kept = folder / ORIGINAL
        return load_teacher(str(kept)) if kept.exists() else None
    teacher, words = original_of(net) or (None, "")
    if words:
        logger.info("distilling from %s", words)
    if teacher is not None and folder is not None and is_main_process():
        cast(VisionTransformer, teacher.net).save(folder / ORIGINAL, net.metadata)
    return teacher
