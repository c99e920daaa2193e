"""``nasformer train``: train the supernet of a space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nasformer.cli.options import Data, Device, Json, Root, Seed, Space
from nasformer.cli.output import console, print_json, print_table


def train(
    space: Space,
    data: Data = None,
    recipe: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML of a training recipe.", show_default=False)
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Instead of the recipe's.", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: runs/SPACE-supernet.", show_default=False)
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in --out.")] = False,
    root: Root = None,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
    json: Json = False,
) -> None:
    """Train a weight-entangled supernet, one sampled subnet a step.

    The weights are kept for the space, so that 'nasformer search' finds them. After a stop, the same
    command with --resume goes on: the weights become those of an uninterrupted training.

    Examples:
      nasformer train digits

      nasformer train fashion-mnist --epochs 20 --out runs/fashion

      nasformer train my-space.yaml --data imagefolder:/data/pets --recipe my.yaml

      torchrun --nproc-per-node 8 -m nasformer train autoformer-tiny --data ...
    """
    from nasformer.data import load_dataset
    from nasformer.data.load import FOLDER
    from nasformer.fitness.weights import bind_weights
    from nasformer.space import load_space
    from nasformer.supernet import Supernet
    from nasformer.training import Recipe, leads, train_supernet
    from nasformer.training.supernet import FILE

    declared = load_space(space)
    folder = out or Path("runs") / f"{declared.name}-supernet"
    name = data or declared.name
    chosen = Recipe.load(recipe) if recipe else Recipe.for_dataset(name)
    chosen = chosen.replace(seed=seed, **({"epochs": epochs} if epochs else {}))
    options = {"auto_augment": chosen.auto_augment, "random_erasing": chosen.random_erasing}
    dataset = load_dataset(
        name,
        seed=seed,
        root=root,
        image_size=declared.geometry.image_size if data else None,
        **(options if name.startswith(FOLDER) else {}),
    )
    net = Supernet(declared, seed=seed)
    if leads() and not json:
        console.print(
            f"training {declared.name} on {dataset.name}: {_sizes(dataset.record)}", markup=False, soft_wrap=True
        )
    result = train_supernet(
        net, dataset, chosen, out=folder, resume=resume, device=device, progress=not (quiet or json)
    )
    if not leads():
        return
    kept = bind_weights(declared, folder / FILE)
    if json:
        print_json({"checkpoint": str(folder / FILE), "kept": str(kept), **result.to_dict()})
        return
    corners = {"smallest": declared.smallest, "centroid": declared.centroid, "largest": declared.largest}
    rows = [
        (name, declared.params(corners[name]), score["accuracy"], score["loss"])
        for name, score in result.validation.items()
    ]
    print_table("", ("search split", "params", "accuracy %", "loss"), rows)
    where = result.device if result.processes == 1 else f"{result.processes} processes, this one on {result.device}"
    console.print(
        f"{result.steps:,} steps in {result.seconds:.0f} s on {where}. Weights: {folder / FILE}\n"
        f"Searches of this space will find them. Next: nasformer search {space} --strategy evolution",
        markup=False,
        soft_wrap=True,
    )


def _sizes(record: dict[str, Any]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in record["splits"].items()) + " images"
