"""``nasformer finetune``: fine-tune a network from inherited weights, on the same or on another dataset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from nasformer.cli.options import (
    Data,
    Device,
    Json,
    OfSpace,
    Quiet,
    Readers,
    Repair,
    Root,
    Seed,
    StudyName,
    SupernetPath,
    readers_of,
    run_folder,
)
from nasformer.cli.output import console
from nasformer.cli.source import read_source
from nasformer.cli.training import (
    Epochs,
    ImageSize,
    KeepBest,
    LearningRate,
    RecipeFile,
    Resume,
    SkipUnreadable,
    TeacherName,
    TeacherWeights,
    TrainBatch,
    read_data,
    read_recipe,
    read_teacher,
    show,
    sizes,
)


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
    batch_size: TrainBatch = None,
    learning_rate: LearningRate = None,
    freeze: Annotated[str, typer.Option(help="nothing, or backbone: train only the head.")] = "nothing",
    objective: KeepBest = None,
    teacher: TeacherName = None,
    teacher_weights: TeacherWeights = None,
    repair: Repair = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: runs/NAME-finetune.")] = None,
    resume: Resume = False,
    root: Root = None,
    seed: Seed = 0,
    device: Device = "auto",
    readers: Readers = "auto",
    skip_unreadable: SkipUnreadable = False,
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
    from nasformer.errors import DataError
    from nasformer.supernet.adapt import adapted
    from nasformer.training import finetune as train
    from nasformer.training import is_main_process

    source = read_source(target, architecture, supernet, study, data)
    name = data or source.data.get("name")
    if name is None:
        raise DataError(f"{source.file} does not record its dataset; give --data NAME", source.file)
    shown = not (quiet or json)
    known: dict[str, Any] = {"trained_on": source.data, "file": source.file, "held_out": source.held_out}
    how: dict[str, Any] = {"root": root, "seed": seed, "skip_unreadable": skip_unreadable, "progress": shown}
    dataset = read_data(name, source.net.geometry, image_size=image_size, **known, **how)
    given: dict[str, Any] = {"seed": seed, "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    given["distillation"] = "off" if teacher == "none" else None
    given["keep_best"] = objective
    past = source.provenance
    further = past.get("training") != "finetune"
    if past.get("training") == "confirm":  # its few epochs are no recipe
        past = past["from"]
    chosen = read_recipe(recipe, past, dataset, device, further=further, given=given)
    folder = out or run_folder(f"{source.name}-finetune")
    if is_main_process() and not json:
        words = f"fine-tuning {source.net.architecture} on {dataset.name}: {sizes(dataset.record)}"
        console.print(words, soft_wrap=True)
    repaired = source.repaired(dataset, repair, device=device, readers=readers_of(readers))
    if repaired is not None and is_main_process() and not json:
        console.print(str(repaired), soft_wrap=True)
    net = source.net if repaired is None else repaired.net
    if image_size is not None and net.resizes:  # a resolution that was chosen stays, unless another is asked for
        net = adapted(net, image_size=image_size)
    result = train(
        net if repaired is None else replace(repaired, net=net),
        dataset,
        chosen,
        freeze=freeze,  # type: ignore[arg-type]  # checked there
        teacher=read_teacher(teacher, teacher_weights, dataset.num_classes),
        out=folder,
        source={**source.provenance, "weights": str(source.file)},
        trained_on=source.data,
        resume=resume,
        device=device,
        progress=shown,
        readers=readers_of(readers),
    )
    if is_main_process():
        show(result, folder, f"{source.name} fine-tuned on {dataset.name}", json=json)
