"""``nasformer train``: train the supernet of a space."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from nasformer.cli.options import Data, Device, Json, Quiet, Root, Seed, Space, run_folder
from nasformer.cli.output import console, print_json, print_table
from nasformer.cli.training import (
    Epochs,
    RecipeFile,
    Resume,
    TeacherName,
    TeacherWeights,
    read_data,
    read_recipe,
    read_teacher,
    sizes,
)


def train(
    space: Space,
    data: Data = None,
    recipe: RecipeFile = None,
    epochs: Epochs = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: runs/SPACE-supernet.", show_default=False)
    ] = None,
    weight_sharing: Annotated[
        str, typer.Option(help="entangled, or classical: separate weights per choice.")
    ] = "entangled",
    teacher: TeacherName = None,
    teacher_weights: TeacherWeights = None,
    resume: Resume = False,
    root: Root = None,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train a supernet: one sampled subnet per step, or as the recipe says.

    The weights become the default of the space, which 'nasformer search' uses. The same
    command with --resume reaches the weights of an uninterrupted training.

    Examples:
      nasformer train digits

      nasformer train fashion-mnist --epochs 20 --out runs/fashion

      nasformer train my-space.yaml --data imagefolder:/data/pets --recipe my.yaml

      torchrun --nproc-per-node 8 -m nasformer train autoformer-tiny --data ...
    """
    from nasformer.fitness.weights import bind_weights
    from nasformer.space import load_space
    from nasformer.supernet import Supernet
    from nasformer.training import is_main_process, train_supernet
    from nasformer.training.sampling import reference_subnets
    from nasformer.training.supernet import FILE

    declared = load_space(space)
    folder = out or run_folder(f"{declared.name}-supernet")
    name = data or declared.name
    read = partial(read_recipe, recipe, {}, name, seed=seed, epochs=epochs)
    size = declared.geometry.image_size
    dataset = read_data(name, read(), seed=seed, root=root, image_size=size, asked=data is not None)
    chosen = read(dataset=dataset)
    net = Supernet(declared, seed=seed, weight_sharing=weight_sharing)  # type: ignore[arg-type]  # checked there
    if is_main_process() and not json:
        console.print(
            f"training {declared.name} on {dataset.name}: {sizes(dataset.record)}", markup=False, soft_wrap=True
        )
    result = train_supernet(
        net,
        dataset,
        chosen,
        out=folder,
        resume=resume,
        device=device,
        progress=not (quiet or json),
        teacher=read_teacher(teacher, teacher_weights, dataset.num_classes),
    )
    if not is_main_process():
        return
    kept = bind_weights(declared, folder / FILE)
    if json:
        print_json({"checkpoint": str(folder / FILE), "kept": str(kept), **result.to_dict()})
        return
    corners = reference_subnets(declared, chosen)
    metrics = [dataset.task.metric(each) for each in dataset.task.objectives]
    rows = [
        (name, declared.params(corners[name]), *(metric.text(score[metric.name]) for metric in metrics))
        for name, score in result.validation.items()
    ]
    print_table("", ("search split", "params", *(metric.title for metric in metrics)), rows)
    where = result.device if result.processes == 1 else f"{result.processes} processes, this one on {result.device}"
    console.print(
        f"{result.steps:,} steps in {result.seconds:.0f} s on {where}. Weights: {folder / FILE}\n"
        f"Searches of this space will use them. Next: nasformer search {space} --strategy evolution",
        markup=False,
        soft_wrap=True,
    )
