"""``nasformer finetune``: fine-tune a network from inherited weights, on the same or on another dataset."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nasformer.cli.options import Data, Device, Json, OfSpace, Quiet, Root, Seed, StudyName, SupernetPath, run_folder
from nasformer.cli.output import console
from nasformer.cli.source import Source, read_source
from nasformer.cli.training import (
    Epochs,
    ImageSize,
    LearningRate,
    RecipeFile,
    Resume,
    TeacherName,
    TeacherWeights,
    read_data,
    read_recipe,
    read_teacher,
    show,
    sizes,
)

if TYPE_CHECKING:
    from nasformer.data import Dataset
    from nasformer.training import Recipe


def finetune(
    target: Annotated[
        str, typer.Argument(metavar="MODEL|RUN|STUDY|SPACE", help="Result of finetune, retrain or search, or a space.")
    ],
    architecture: OfSpace = None,
    supernet: SupernetPath = None,
    study: StudyName = None,
    data: Data = None,
    image_size: ImageSize = None,
    recipe: RecipeFile = None,
    epochs: Epochs = None,
    learning_rate: LearningRate = None,
    freeze: Annotated[str, typer.Option(help="nothing, or backbone: train only the head.")] = "nothing",
    teacher: TeacherName = None,
    teacher_weights: TeacherWeights = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: runs/NAME-finetune.", show_default=False)
    ] = None,
    resume: Resume = False,
    root: Root = None,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Fine-tune a network from inherited weights.

    It is adapted to the classes and the resolution of the data. The default
    recipe is that of the weights, with a tenth of its epochs and learning
    rate; a fine-tuned network keeps its recipe. The same command with --resume
    reaches the weights of an uninterrupted training.

    Examples:
      nasformer finetune runs/digits-tpe-seed0 --epochs 50

      nasformer finetune digits smallest --teacher runs/large/network.safetensors

      nasformer finetune autoformer-tiny released --data pets --root /data --image-size 384
    """
    from nasformer.supernet.adapt import adapted
    from nasformer.training import finetune as train
    from nasformer.training import is_main_process

    source = read_source(target, architecture, supernet, study)
    images = data or source.data.get("name")
    read = partial(
        read_recipe,
        recipe,
        source.provenance,
        images or "",
        seed=seed,
        epochs=epochs,
        learning_rate=learning_rate,
        further=source.provenance.get("training") != "finetune",
    )
    dataset = _data(images, source, read(), seed=seed, root=root, size=image_size)
    chosen = read(dataset=dataset)
    folder = out or run_folder(f"{source.name}-finetune")
    if is_main_process() and not json:
        words = f"fine-tuning {source.net.architecture} on {dataset.name}: {sizes(dataset.record)}"
        console.print(words, markup=False, soft_wrap=True)
    net = source.net
    if image_size is not None and net.resizes:  # a resolution that was chosen stays, unless another is asked for
        net = adapted(net, image_size=image_size)
    result = train(
        net,
        dataset,
        chosen,
        freeze=freeze,  # type: ignore[arg-type]  # checked there
        teacher=read_teacher(teacher, teacher_weights, dataset.num_classes),
        out=folder,
        source={**source.provenance, "weights": str(source.file)},
        trained_on=source.data,
        resume=resume,
        device=device,
        progress=not (quiet or json),
    )
    if is_main_process():
        show(result, folder, f"{source.name} fine-tuned on {dataset.name}", json=json)


def _data(
    name: str | None, source: Source, recipe: Recipe, *, seed: int, root: Path | None, size: int | None
) -> Dataset:
    """Return the dataset; if the weights were trained on it, with the same splits."""
    from nasformer.errors import DataError
    from nasformer.registry import require_same_splits, same_data

    if name is None:
        raise DataError(f"{source.file} does not record its dataset; give --data NAME", source.file)
    split_seed = source.data.get("seed") or 0 if same_data(name, source.data) else seed
    wanted = size or source.net.geometry.image_size
    dataset = read_data(name, recipe, seed=split_seed, root=root, image_size=wanted, asked=size is not None)
    require_same_splits(dataset, name, source.data, source.file)
    return dataset
