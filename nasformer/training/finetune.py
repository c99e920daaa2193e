"""finetune and retrain: train one architecture from inherited weights or from scratch, and measure it.

Both build on ``train_subnet`` and write their figures beside the weights, as one JSON file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import nn

from nasformer._io import to_json
from nasformer._provenance import library_version
from nasformer.architecture import Architecture
from nasformer.cost import COSTS
from nasformer.data.batches import Readers
from nasformer.data.dataset import Dataset
from nasformer.data.samples import MISTAKES, draw_test_images
from nasformer.errors import DataError, RecipeError
from nasformer.space import SearchSpace
from nasformer.supernet.adapt import adapted
from nasformer.supernet.checkpoint import fingerprint, replace_file
from nasformer.supernet.model import VisionTransformer
from nasformer.supernet.repair import Repair
from nasformer.tasks import Task
from nasformer.training.assessment import assess, mistakes, outputs_on_test, speed
from nasformer.training.defaults import default_recipe
from nasformer.training.distributed import is_main_process
from nasformer.training.log import logger
from nasformer.training.origin import family_teacher
from nasformer.training.paired import paired_test
from nasformer.training.recipe import Recipe
from nasformer.training.result import TrainingResult
from nasformer.training.subnet import train_subnet
from nasformer.training.teacher import Teacher

Freeze = Literal["nothing", "backbone"]


@dataclass(frozen=True)
class FinetuneResult:
    """A trained network and its figures.

    Attributes:
        net: The network, in evaluation mode.
        training: The training's result.
        figures: Plain values, ready for JSON: architecture, costs, provenance, test scores per class, before
            fine-tuning too with their ``paired`` test, speed on this machine. Test scores and speed are in the main
            process only.
    """

    net: VisionTransformer
    training: TrainingResult
    figures: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {**self.figures, "training": self.training.to_dict()}


def finetune(
    net: VisionTransformer | Repair,
    data: Dataset,
    recipe: Recipe | None = None,
    *,
    freeze: Freeze = "nothing",
    teacher: nn.Module | Teacher | None = None,
    out: str | Path | None = None,
    source: Mapping[str, Any] | None = None,
    trained_on: Mapping[str, Any] | None = None,
    **options: Any,
) -> FinetuneResult:
    """Fine-tune a network on the same or on another dataset.

    The network is first adapted to the task and the resolution of ``data`` (see ``adapted``). After the training
    it is evaluated on the test images, and so are the initial weights if their task is the same.

    Args:
        net: The network, such as ``result.best.extract(supernet)``, or one that was repaired,
            ``repair(supernet, architecture, data)``; not modified.
        data: The dataset.
        recipe: Training recipe; None: the dataset's default, shortened by ``Recipe.finetuning``.
        freeze: "backbone" trains only the head, on features without drop-path.
        teacher: Distillation teacher; the recipe's ``distillation`` sets how. None: of a network from a family the
            original model (``origin.family_teacher``), unless the recipe has ``distillation: off`` or the head is new;
            of others none.
        out: Folder for ``network.safetensors``, ``finetune.json``, the log and the resumable state.
        source: Provenance of the weights, recorded in the figures.
        trained_on: Record of the dataset that trained the network; another task gets a new head. None: unknown.
        **options: resume, device, progress, callback and readers of ``train_supernet``.

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
    recipe = recipe or default_recipe(data, options.get("device", "auto")).finetuning()
    if freeze not in get_args(Freeze):
        raise RecipeError(f"freeze is 'nothing' or 'backbone', got {freeze!r}", freeze)
    repaired = net if isinstance(net, Repair) else None
    net = net.net if isinstance(net, Repair) else net
    learnt = _learnt(net, data, trained_on or {})
    pupil = fitted(net, data, new_head=learnt is None, seed=recipe.seed)
    if freeze == "backbone":
        recipe = recipe.replace(drop_path=0.0)
        pupil.requires_grad_(False)
        pupil.head.requires_grad_(True)
    # a repair differs in the last bits by number of threads and device, which may change before a training resumes
    start = fingerprint(pupil) if repaired is None else f"{repaired.cut}, repaired"
    found = family_teacher(net) if teacher is None and learnt is not None and recipe.distillation != "off" else None
    if found is not None:
        teacher, words = found
        logger.info("distilling from %s", words)
    given: dict[str, Any] = {"kind": "finetune", "freeze": freeze, "start": start, "source": dict(source or {})}
    given |= {"taught_by": found and found[1]} | ({} if repaired is None else {"repair": repaired.to_dict()})
    before = None if learnt is None else (fitted(net, data, seed=recipe.seed), learnt)
    try:
        training = train_subnet(
            pupil, data, recipe, teacher=teacher, out=out, identity={"freeze": freeze, "start": start}, **options
        )
    finally:
        pupil.requires_grad_(True)
    return _finish(pupil, data, training, given, before, out, options.get("readers", 0))


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
        space: Its space: patch size, heads, positions and pooling; classes and, unless the space searches it,
            resolution are the dataset's.
        data: The dataset.
        recipe: Training recipe, with the seed of the initial weights; None: the dataset's default.
        teacher: Distillation teacher; the recipe's ``distillation`` sets how.
        out: Folder for ``network.safetensors``, ``retrain.json``, the log and the resumable state.
        source: Provenance of the architecture beside its space, recorded in the figures.
        **options: resume, device, progress, callback and readers of ``train_supernet``.

    Raises:
        DataError: The images have other channels than the space, or are too small for its patches.
        RecipeError: The recipe or the teacher does not fit the data.
        CheckpointError: ``out`` holds another training, or cannot be written.
    """
    recipe = recipe or default_recipe(data, options.get("device", "auto"))
    fresh = VisionTransformer(space.geometry, architecture, pooling=space.pooling, seed=recipe.seed)
    net = VisionTransformer(
        fitted(fresh, data).geometry, architecture, pooling=space.pooling, seed=recipe.seed
    )  # initialised at the final size
    training = train_subnet(net, data, recipe, teacher=teacher, out=out, **options)
    given = {"kind": "retrain", "source": {"space": space.name, **(source or {})}}
    return _finish(net, data, training, given, None, out, options.get("readers", 0))


def _learnt(net: VisionTransformer, data: Dataset, trained_on: Mapping[str, Any]) -> Task | None:
    """Return the task by which a network's initial weights can be evaluated on the data; None: they cannot."""
    if net.geometry.num_classes != data.num_classes:
        return None
    try:
        return data.learnt_by(trained_on, "the network").task
    except DataError:
        return None


def fitted(net: VisionTransformer, data: Dataset, *, new_head: bool = False, seed: int = 0) -> VisionTransformer:
    """Return a copy of a network, adapted to the outputs and, unless it was searched, the resolution of ``data``.

    Raises:
        DataError: Series for a network of images or the reverse, other channels, or too small for the patches.
    """
    shapes = data.input_shape, net.geometry.input_shape
    if len(shapes[0]) != len(shapes[1]):
        have, takes = ("series" if len(shape) == 2 else "images" for shape in shapes)
        raise DataError(f"{data.name!r} has {have}, but the network takes {takes}; take other data", data)
    if net.geometry.in_channels != data.in_channels:
        raise DataError(
            f"the images of {data.name!r} have {data.in_channels} channels, but the network takes "
            f"{net.geometry.in_channels}; take other data, or search a space with in_channels: {data.in_channels}",
            data,
        )
    image_size = None if net.resizes else data.image_size
    return adapted(net, num_classes=data.num_classes, image_size=image_size, new_head=new_head, seed=seed)


def _finish(
    net: VisionTransformer,
    data: Dataset,
    training: TrainingResult,
    given: Mapping[str, Any],
    before: tuple[VisionTransformer, Task] | None,
    out: str | Path | None,
    readers: Readers,
) -> FinetuneResult:
    """Measure the network, and write its figures."""
    figures = {
        **given,
        "architecture": net.architecture.to_dict(),
        "geometry": net.geometry.to_dict(),
        **{name: int(cost(net.geometry, net.architecture)) for name, cost in COSTS.items()},
        "teacher": training.teacher,
        "versions": {"nasformer": library_version(), "torch": str(torch.__version__)},
    }
    result = FinetuneResult(net, training, figures)
    if not is_main_process():
        return result
    device = torch.device(training.device)
    outputs, targets = outputs_on_test(net, data, device, readers=readers)
    figures["test"] = assess(data.task, outputs, targets)
    figures["mistakes"] = mistakes(data, outputs, targets)
    if before is not None:
        initial, task = before
        earlier, _ = outputs_on_test(initial, data, device, readers=readers)
        figures["before"] = task.means(task.totals(earlier, targets), len(targets))
        if task == data.task and (paired := paired_test(task, earlier, outputs, targets)) is not None:
            figures["paired"] = paired
    figures["speed"] = speed(net, device)
    if out is not None:
        if figures["mistakes"]:
            draw_test_images(data, [each["image"] for each in figures["mistakes"]], Path(out) / MISTAKES)
        path = Path(out) / f"{figures['kind']}.json"
        replace_file(path, to_json(result.to_dict(), indent=1) + "\n")
    return result
