"""finetune and retrain: one architecture from inherited weights or from none, to a network with figures to show.

Both build on ``train_subnet``. What they find is written beside the weights, as one JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import nn

from nasformer.architecture import Architecture
from nasformer.cost import COSTS
from nasformer.data.dataset import Dataset
from nasformer.errors import DataError, RecipeError
from nasformer.space import SearchSpace
from nasformer.supernet.adapt import adapted
from nasformer.supernet.checkpoint import fingerprint, library_version, replace_file
from nasformer.supernet.model import VisionTransformer
from nasformer.training.assessment import measure_on_test, speed
from nasformer.training.distributed import is_main_process
from nasformer.training.recipe import Recipe
from nasformer.training.result import TrainingResult
from nasformer.training.subnet import train_subnet
from nasformer.training.teacher import Teacher
from nasformer.training.validation import evaluate

Freeze = Literal["nothing", "backbone"]


@dataclass(frozen=True)
class FinetuneResult:
    """A trained network and what is known of it.

    Attributes:
        net: The network, in evaluation mode.
        training: How it was trained.
        figures: Plain values, ready for JSON: architecture, costs, provenance, test scores by class, speed here. Only
            the first of several processes has the test scores and the speed.
    """

    net: VisionTransformer
    training: TrainingResult
    figures: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {**self.figures, "training": self.training.to_dict()}


def finetune(
    net: VisionTransformer,
    data: Dataset,
    recipe: Recipe | None = None,
    *,
    freeze: Freeze = "nothing",
    teacher: nn.Module | Teacher | None = None,
    out: str | Path | None = None,
    source: Mapping[str, Any] | None = None,
    **options: Any,
) -> FinetuneResult:
    """Train a network further, on the images that it knows or on others.

    It becomes one of the classes and the resolution of ``data`` first: ``adapted`` says how. Test images are looked
    at when all is done; the weights as they came are judged on them then too, where the classes are the same.

    Args:
        net: The network, such as ``result.best.extract(supernet)``; it is left as it is.
        data: The images.
        recipe: How; None: one that suits the dataset, as ``Recipe.finetuning`` shortens it.
        freeze: "backbone": the head alone is trained, on features without drop-path.
        teacher: What it learns from beside the labels, as the recipe's ``distillation`` says.
        out: Folder for ``network.safetensors``, ``finetune.json``, the log and the state to resume from.
        source: What is recorded of where the weights come from.
        **options: resume, device, progress, callback and workers, as ``train_supernet`` takes them.

    Raises:
        DataError: The images have other channels than the network, or are too small for its patches.
        RecipeError: The recipe or the teacher does not fit the data, or ``freeze`` is unknown.
        CheckpointError: ``out`` holds another training, or cannot be written.

    >>> from nasformer.data import load_dataset
    >>> from nasformer.space import load_space
    >>> from nasformer.supernet import Supernet
    >>> space, data = load_space("digits"), load_dataset("digits")
    >>> net = Supernet(space).extract(space.smallest)
    >>> recipe = Recipe.for_dataset("digits").replace(epochs=1)
    >>> result = finetune(net, data, recipe, device="cpu", progress=False)
    >>> result.figures["params"] == space.params(space.smallest), len(result.figures["test"]["confusion"])
    (True, 10)
    """
    recipe = recipe or Recipe.for_dataset(data.name).finetuning()
    if freeze not in get_args(Freeze):
        raise RecipeError(f"freeze is 'nothing' or 'backbone', got {freeze!r}", freeze)
    pupil = fitted(net, data, seed=recipe.seed)
    if freeze == "backbone":
        recipe = recipe.replace(drop_path=0.0)
        pupil.requires_grad_(False)
        pupil.head.requires_grad_(True)
    start = fingerprint(pupil)
    given = {"kind": "finetune", "freeze": freeze, "start": start, "source": dict(source or {})}
    inherited = net.geometry.num_classes == data.num_classes
    before = fitted(net, data, seed=recipe.seed) if inherited else None
    try:
        training = train_subnet(
            pupil, data, recipe, teacher=teacher, out=out, identity={"freeze": freeze, "start": start}, **options
        )
    finally:
        pupil.requires_grad_(True)
    return _finish(pupil, data, training, given, before, out)


def retrain(
    architecture: Architecture,
    space: SearchSpace,
    data: Dataset,
    recipe: Recipe | None = None,
    *,
    teacher: nn.Module | Teacher | None = None,
    out: str | Path | None = None,
    source: Mapping[str, Any] | None = None,
    **options: Any,
) -> FinetuneResult:
    """Train an architecture from scratch.

    Args:
        architecture: The architecture.
        space: Its space, whose patches, heads, positions and pooling it has; classes and resolution are the data's.
        data: The images.
        recipe: How, and the seed of the initial weights; None: one that suits the dataset.
        teacher: What it learns from beside the labels, as the recipe's ``distillation`` says.
        out: Folder for ``network.safetensors``, ``retrain.json``, the log and the state to resume from.
        source: What is recorded of where the architecture comes from, beside its space.
        **options: resume, device, progress, callback and workers, as ``train_supernet`` takes them.

    Raises:
        DataError: The images have other channels than the space, or are too small for its patches.
        RecipeError: The recipe or the teacher does not fit the data.
        CheckpointError: ``out`` holds another training, or cannot be written.
    """
    recipe = recipe or Recipe.for_dataset(data.name)
    fresh = VisionTransformer(space.geometry, architecture, pooling=space.pooling, seed=recipe.seed)
    net = VisionTransformer(
        fitted(fresh, data).geometry, architecture, pooling=space.pooling, seed=recipe.seed
    )  # all of it drawn at its own size
    training = train_subnet(net, data, recipe, teacher=teacher, out=out, **options)
    given = {"kind": "retrain", "source": {"space": space.name, **(source or {})}}
    return _finish(net, data, training, given, None, out)


def fitted(net: VisionTransformer, data: Dataset, *, seed: int = 0) -> VisionTransformer:
    """Return a copy of a network for the classes and the resolution of ``data``.

    Raises:
        DataError: The images have other channels, or are too small for the patches.
    """
    if net.geometry.in_channels != data.in_channels:
        raise DataError(
            f"the images of {data.name!r} have {data.in_channels} channels, but the network takes "
            f"{net.geometry.in_channels}; take other data, or search a space with in_channels: {data.in_channels}",
            data,
        )
    return adapted(net, num_classes=data.num_classes, image_size=data.image_size, seed=seed)


def _finish(
    net: VisionTransformer,
    data: Dataset,
    training: TrainingResult,
    given: Mapping[str, Any],
    before: VisionTransformer | None,
    out: str | Path | None,
) -> FinetuneResult:
    """Add what is known of the network now, and write it."""
    figures = {
        **given,
        "architecture": net.architecture.to_dict(),
        "geometry": asdict(net.geometry),
        **{name: int(cost(net.geometry, net.architecture)) for name, cost in COSTS.items()},
        "teacher": training.teacher,
        "versions": {"nasformer": library_version(), "torch": str(torch.__version__)},
    }
    result = FinetuneResult(net, training, figures)
    if not is_main_process():
        return result
    device = torch.device(training.device)
    figures["test"] = measure_on_test(net, data, device)
    if before is not None:
        figures["before"] = evaluate(before.to(device), data.test, device=device)._asdict()
    figures["speed"] = speed(net, device)
    if out is not None:
        path = Path(out) / f"{figures['kind']}.json"
        replace_file(path, (json.dumps(result.to_dict(), indent=1) + "\n").encode())
    return result
