"""``nasformer finetune``: fine-tune a network from inherited weights, on the same or on another dataset."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from nasformer.cli.options import OfSpace, Repair, StudyName, SupernetPath, run_folder
from nasformer.cli.source import read_source
from nasformer.cli.training import KeepBest, TrainingOptions, show, sizes, with_training_options
from nasformer.errors import DataError


@with_training_options
def finetune(
    target: Annotated[
        str, typer.Argument(metavar="MODEL|RUN|STUDY|SPACE", help="Result of finetune, retrain or search, or a space.")
    ],
    architecture: OfSpace = None,
    supernet: SupernetPath = None,
    study: StudyName = None,
    freeze: Annotated[str, typer.Option(help="nothing, or backbone: train only the head.")] = "nothing",
    objective: KeepBest = None,
    repair: Repair = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: runs/NAME-finetune.")] = None,
    *,
    options: TrainingOptions,
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

    source = read_source(target, architecture, supernet, study, options.data)
    name = options.data or source.data.get("name")
    if name is None:
        raise DataError(f"{source.file} does not record its dataset; give --data NAME", source.file)
    known: dict[str, Any] = {"trained_on": source.data, "file": source.file, "held_out": source.held_out}
    dataset = options.read_data(name, source.net.geometry, **known)
    past = source.provenance
    further = past.get("training") != "finetune"
    if past.get("training") == "confirm":  # its few epochs are no recipe
        past = past["from"]
    recipe = options.read_recipe(past, dataset, further=further, keep_best=objective)
    folder = out or run_folder(f"{source.name}-finetune")
    options.say(f"fine-tuning {source.net.architecture} on {dataset.name}: {sizes(dataset.record)}")
    how = options.how(dataset)
    repaired = source.repaired(dataset, repair, device=options.device, readers=how["readers"])
    if repaired is not None:
        options.say(str(repaired))
    net = source.net if repaired is None else repaired.net
    if options.image_size is not None and net.resizes:  # a chosen resolution stays, unless another is asked for
        net = adapted(net, image_size=options.image_size)
    result = train(
        net if repaired is None else replace(repaired, net=net),
        dataset,
        recipe,
        freeze=freeze,  # type: ignore[arg-type]  # checked there
        out=folder,
        source={**source.provenance, "weights": str(source.file)},
        trained_on=source.data,
        **how,
    )
    if is_main_process():
        show(result, folder, f"{source.name} fine-tuned on {dataset.name}", json=options.json)
