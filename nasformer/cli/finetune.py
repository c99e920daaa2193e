"""``nasformer finetune``: fine-tune a network from inherited weights, on the same or on another dataset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from nasformer.cli import options, training
from nasformer.cli.output import console
from nasformer.cli.source import read_source
from nasformer.errors import DataError


def finetune(
    target: Annotated[
        str, typer.Argument(metavar="MODEL|RUN|STUDY|SPACE", help="Result of finetune, retrain or search, or a space.")
    ],
    architecture: options.OfSpace = None,
    supernet: options.SupernetPath = None,
    study: options.StudyName = None,
    data: options.Data = None,
    image_size: training.ImageSize = None,
    recipe: training.RecipeFile = None,
    epochs: training.Epochs = None,
    batch_size: training.TrainBatch = None,
    learning_rate: training.LearningRate = None,
    freeze: Annotated[str, typer.Option(help="nothing, or backbone: train only the head.")] = "nothing",
    objective: training.KeepBest = None,
    teacher: training.TeacherName = None,
    teacher_weights: training.TeacherWeights = None,
    repair: options.Repair = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: runs/NAME-finetune.")] = None,
    resume: training.Resume = False,
    root: options.Root = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    readers: options.Readers = "auto",
    skip_unreadable: training.SkipUnreadable = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
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

    source = read_source(target, architecture, supernet, study, data)
    name = data or source.data.get("name")
    if name is None:
        raise DataError(f"{source.file} does not record its dataset; give --data NAME", source.file)
    shown = not (quiet or json)
    known: dict[str, Any] = {"trained_on": source.data, "file": source.file, "held_out": source.held_out}
    how: dict[str, Any] = {"root": root, "seed": seed, "skip_unreadable": skip_unreadable, "progress": shown}
    dataset = training.read_data(name, source.net.geometry, image_size=image_size, **known, **how)
    given: dict[str, Any] = {"seed": seed, "epochs": epochs, "batch_size": batch_size, "teacher": teacher}
    given |= {"learning_rate": learning_rate, "keep_best": objective}
    past = source.provenance
    further = past.get("training") != "finetune"
    if past.get("training") == "confirm":  # its few epochs are no recipe
        past = past["from"]
    chosen = training.read_recipe(recipe, past, dataset, device, further=further, given=given)
    folder = out or options.run_folder(f"{source.name}-finetune")
    if is_main_process() and not json:
        words = f"fine-tuning {source.net.architecture} on {dataset.name}: {training.sizes(dataset.record)}"
        console.print(words, soft_wrap=True)
    repaired = source.repaired(dataset, repair, device=device, readers=options.readers_of(readers))
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
        teacher=training.read_teacher(teacher, teacher_weights, dataset.num_classes),
        out=folder,
        source={**source.provenance, "weights": str(source.file)},
        trained_on=source.data,
        resume=resume,
        device=device,
        progress=shown,
        readers=options.readers_of(readers),
    )
    if is_main_process():
        training.show(result, folder, f"{source.name} fine-tuned on {dataset.name}", json=json)
