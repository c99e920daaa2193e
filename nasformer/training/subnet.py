"""train_subnet: train a single network, for fine-tuning or from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nasformer.data.batches import Readers
from nasformer.data.dataset import Dataset
from nasformer.data.examine import examined
from nasformer.supernet.model import VisionTransformer
from nasformer.training.defaults import default_recipe
from nasformer.training.distributed import local_device, process_group
from nasformer.training.log import Callback
from nasformer.training.loop import Trainer, TrainingTask, renamed
from nasformer.training.recipe import Recipe
from nasformer.training.result import TrainingResult, trained
from nasformer.training.teacher import Teacher

FILE = "network.safetensors"


def train_subnet(
    module: nn.Module,
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
    identity: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train a single network in place: an extracted subnet, or any module from images to logits.

    Arguments, files and errors are those of ``train_supernet``, with ``network.safetensors`` for the
    weights of a ``VisionTransformer``. ``identity`` adds values that must match on resume.
    """
    data = examined(data)
    recipe = recipe or default_recipe(data, device)
    if isinstance(module, VisionTransformer):
        module.set_drop_path(recipe.drop_path)
    task = TrainingTask(
        net=module,
        draws=lambda epoch, steps: [(None,)] * steps,
        candidates={"network": None},
        identity={"network": _described(module), **(identity or {})},
        teacher=None if teacher is None else Teacher.of(teacher),
    )
    place = local_device(device)
    with process_group(place) as ranks:
        trainer = Trainer(task, data, recipe, device=place, readers=renamed(readers, workers), ranks=ranks)
        result = trainer.run(None if out is None else Path(out), resume, progress, callback)
        module.eval()
        if out is not None and ranks.is_main and isinstance(module, VisionTransformer):
            family = {} if module.family is None else {"family": str(module.family)}
            module.save(Path(out) / FILE, {**trained(result, data), **family})
    return result


def _described(module: nn.Module) -> dict[str, Any]:
    if isinstance(module, VisionTransformer):
        return {**module.architecture.to_dict(), **module.geometry.to_dict()}
    return {name: list(parameter.shape) for name, parameter in module.named_parameters()}
