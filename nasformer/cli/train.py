"""``nasformer train``: train the supernet of a space."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli.options import SupernetPath, run_folder, trained_space
from nasformer.cli.output import console, print_json, print_table
from nasformer.cli.training import TrainingOptions, sizes, with_training_options
from nasformer.errors import CheckpointError, DataError, SpaceError

if TYPE_CHECKING:
    from nasformer.supernet import Supernet
    from nasformer.training import TrainingResult

NumClasses = Annotated[int | None, typer.Option(min=1, help="Default: the space's, of a built-in space the data's.")]


@with_training_options
def train(
    space: Annotated[
        str | None, typer.Argument(metavar="SPACE", help="Built-in name or file; default: that of --supernet.")
    ] = None,
    supernet: SupernetPath = None,
    num_classes: NumClasses = None,
    weight_sharing: Annotated[
        str | None, typer.Option(help="entangled (default), or classical: separate weights per choice.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: runs/SPACE-supernet.")] = None,
    *,
    options: TrainingOptions,
) -> None:
    """Train a supernet: one sampled subnet per step, or as the recipe says.

    The weights are kept for the space and the data, where 'nasformer search' finds them. The
    same command with --resume reaches the weights of an uninterrupted training.
    With --supernet it goes on from the weights of a file.

    Examples:
      nasformer train digits

      nasformer train fashion-mnist --epochs 20 --out runs/fashion

      nasformer train my-space.yaml --data /data/pets --recipe my.yaml

      nasformer train --supernet family.safetensors --data /data/pets

      torchrun --nproc-per-node 8 -m nasformer train autoformer-tiny --data ...
    """
    from nasformer.search.progress import duration
    from nasformer.space import load_space, space_names
    from nasformer.supernet import Supernet
    from nasformer.training import is_main_process, train_supernet
    from nasformer.training.sampling import reference_subnets
    from nasformer.training.supernet import FILE
    from nasformer.training.teacher import from_checkpoint
    from nasformer.training.weights import weights_path

    shape = {"image_size": options.image_size, "num_classes": num_classes}
    initial = None if supernet is None else _initial(space, supernet, weight_sharing, shape)
    declared = load_space(_required(space)).for_data(**shape) if initial is None else initial.space
    trained: dict[str, Any] = {} if initial is None else dict(initial.metadata.get("training", {}).get("data", {}))
    folder = out or run_folder(f"{declared.name}-supernet")
    name, past = options.data or trained.get("name") or _named_dataset(declared.name), dict[str, Any]()
    if initial is not None:
        past = {"trained_on": trained, "file": supernet, "held_out": initial.metadata.get("held_out")}
    dataset = options.read_data(name, declared.geometry, **past)
    if initial is not None:
        dataset = dataset.learnt_by(trained, supernet)
    elif space in space_names():  # a built-in space takes the shape of the data; a declared one is checked against them
        shape = {"image_size": dataset.image_size, "in_channels": dataset.in_channels}
        declared = declared.for_data(num_classes=num_classes or dataset.num_classes, **shape)
    chosen = options.read_recipe({}, dataset, family=initial is not None and from_checkpoint(initial))
    sharing: Any = weight_sharing or "entangled"
    net = initial or Supernet(declared, seed=options.seed, weight_sharing=sharing)
    start = "" if supernet is None else f" from {supernet}"
    options.say(f"training {declared.name}{start} on {dataset.name}: {sizes(dataset.record)}")
    result = train_supernet(net, dataset, chosen, out=folder, **options.how(dataset))
    if not is_main_process():
        return
    kept = weights_path(declared, result.data)
    found = str(kept) if kept.is_file() else None
    if options.json:
        print_json({"checkpoint": str(folder / FILE), "kept": found, **result.to_dict()})
        return
    corners = reference_subnets(declared, chosen)
    known = [name for name in dataset.task.objectives if all(name in score for score in result.validation.values())]
    metrics = [dataset.task.metric(name) for name in known]
    rows = [
        (name, declared.params(corners[name]), *(metric.text(score[metric.name]) for metric in metrics))
        for name, score in result.validation.items()
    ]
    print_table("", ("search split", "params", *(metric.title for metric in metrics)), rows)
    if space is None:
        space = str(folder / "space.yaml")
        declared.save(space)
    again = [space, *([] if options.data is None else ["--data", options.data])]
    where = result.device if result.processes == 1 else f"{result.processes} processes, this one on {result.device}"
    console.print(
        f"{result.steps:,} steps in {duration(result.seconds)} on {where}{_reading(result)}. Weights: {folder / FILE}\n"
        f"Searches of this space will use them. Next: nasformer search {shlex.join(again)}",
        soft_wrap=True,
    )


def _named_dataset(name: str) -> str:
    """Return the dataset that has the name of a space.

    Raises:
        DataError: There is none.
    """
    from nasformer.data.names import IN_MEMORY, TRANSFER

    if name not in (*IN_MEMORY, *TRANSFER):
        raise DataError(f"the space {name!r} has no dataset of its name; give --data PHOTOS", name)
    return name


def _required(space: str | None) -> str:
    if space is None:
        raise SpaceError("name the SPACE to train, or give --supernet FILE, got neither", space)
    return space


def _initial(
    space: str | None, supernet: Path, weight_sharing: str | None, shape: Mapping[str, int | None]
) -> Supernet:
    """Return the supernet of the initial weights.

    Raises:
        CheckpointError: It is of another space, or shares weights otherwise.
    """
    from nasformer.supernet import Supernet

    net = Supernet.load(supernet, None if space is None else trained_space(space, supernet).for_data(**shape))
    if weight_sharing not in (None, net.sharing.name):
        raise CheckpointError(
            f"{supernet} has the weight sharing {net.sharing.name!r}, got {weight_sharing!r}; leave it out", supernet
        )
    return net


def _reading(result: TrainingResult) -> str:
    """Return the speed of reading image files, and the share of the time that waited for them."""
    rows = [row for row in result.history if "images_per_second" in row]
    if not rows:
        return ""
    speed, share = (median(row[key] for row in rows) for key in ("images_per_second", "reading"))
    return f", {speed:,.0f} images/s, {100 * share:.0f} % of the time waiting for images to be read"
