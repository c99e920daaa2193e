"""``nasformer from-timm``: a trained model of timm or transformers as a supernet, kept for its space and data."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli.options import Device, Json, Quiet, Readers, Root, Seed, readers_of, run_folder
from nasformer.cli.output import console, print_json, print_table
from nasformer.cli.searching import read_options
from nasformer.cli.training import SkipUnreadable, read_data
from nasformer.errors import ArchitectureError, CheckpointError

if TYPE_CHECKING:
    from nasformer.supernet.family import Checkpoint

FILE, SPACE = "supernet.safetensors", "space.yaml"


def from_timm(
    data: Annotated[str, typer.Option(metavar="NAME", help="A folder of images, or a dataset's name.")],
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="A model of timm, or local-dir:PATH.")] = None,
    weights: Annotated[Path | None, typer.Option(metavar="FILE", help="Its state dict; default: timm's own.")] = None,
    transformers: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="A model of transformers (save_pretrained).")
    ] = None,
    space: Annotated[str | None, typer.Option(metavar="SPACE", help="Default: a space around the model.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", metavar="KEY=VALUE", help="Of timm.create_model; repeatable.")
    ] = None,
    image_size: Annotated[int | None, typer.Option(min=1, help="Pixels; default: the model's.")] = None,
    new_head: Annotated[bool, typer.Option("--new-head", help="Replace a head for as many classes.")] = False,
    images: Annotated[int, typer.Option(min=1, help="Train images for importance and a new head.")] = 1024,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: runs/NAME-family.")] = None,
    root: Root = None,
    seed: Seed = 0,
    device: Device = "auto",
    readers: Readers = "auto",
    skip_unreadable: SkipUnreadable = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Turn a trained ViT into a family of smaller ones, to be searched.

    Heads, hidden units and channels are sorted by importance on train
    images; the largest member is the model. Images are cropped and
    normalised as the model's configuration says, up to the exported file.
    For other classes a new head is fitted to the model's features.

    Examples:
      nasformer from-timm deit_small_patch16_224 --weights FILE --data PHOTOS

      nasformer from-timm --transformers my-dinov2 --data PHOTOS

      nasformer from-timm vit_tiny_patch16_224 -o img_size=96 --data PHOTOS
    """
    from nasformer.data.data_config import CROP
    from nasformer.training import evaluate, find_device
    from nasformer.training.family import checkpoint_line, family_of
    from nasformer.training.weights import keep_weights

    source = _read(name, weights, transformers, option or []).at(image_size)
    folder = out or run_folder(f"{source.source.get('name', source.source['format'])}-family")
    _require_untrained(folder)
    how: dict[str, Any] = {"root": root, "seed": seed, "skip_unreadable": skip_unreadable}
    known = source.source.get("preprocessing")
    steps = {"crop_pct": CROP, **known} if known else {}
    dataset = read_data(data, source.geometry, trained_on=steps, progress=not (quiet or json), **how)
    net, dataset = family_of(source, dataset, space, images=images, new_head=new_head, seed=seed)
    folder.mkdir(parents=True, exist_ok=True)
    net.save(folder / FILE)
    net.space.save(folder / SPACE)
    kept = keep_weights(net)
    place = find_device(device)
    score = evaluate(net.to(place), dataset.search, task=dataset.task, device=place, readers=readers_of(readers))
    model = net.architecture
    costs = {"params": net.space.params(model), "macs": net.space.macs(model)}
    space_file, file, half = folder / SPACE, folder / FILE, f"{costs['macs'] / 2e6:.4g}M"
    search = ["search", str(space_file), "--supernet", str(file), "--data", data, "--strategy", "sensitivity"]
    if json:
        files = {"checkpoint": str(file), "space": str(space_file), "kept": str(kept)}
        print_json({**files, **costs, "search": dict(score), "imported": net.metadata["imported"]})
        return
    console.print(checkpoint_line(net), soft_wrap=True)
    metrics = [dataset.task.metric(each) for each in dataset.task.objectives if each in score]
    row = ("the model", *map("{:,}".format, costs.values()), *(m.text(score[m.name]) for m in metrics))
    print_table("", ("search split", "params", "MACs", *(metric.title for metric in metrics)), [row])
    console.print(
        f"Supernet: {file}\nSpace of {net.space.size():.2g} architectures: {space_file}\n"
        f"Next, for half of its MACs: nasformer {shlex.join(search)} --macs {half}",
        soft_wrap=True,
    )


def _require_untrained(folder: Path) -> None:
    """Raise CheckpointError if a folder has a training, which must not be overwritten."""
    from nasformer.training.state import FILE as STATE

    if (folder / STATE).exists():
        raise CheckpointError(f"{folder} has a training; choose another folder with --out", folder)


def _read(name: str | None, weights: Path | None, transformers: Path | None, options: list[str]) -> Checkpoint:
    """Return the network of the arguments.

    Raises:
        ArchitectureError: Neither a model of timm nor of transformers was named, or both.
    """
    from nasformer.supernet.from_timm import load_timm, read_timm
    from nasformer.supernet.from_transformers import read_transformers

    if (name is None) == (transformers is None):
        raise ArchitectureError(f"give the NAME of a timm model or --transformers FOLDER, got {name!r}", name)
    if transformers is not None:
        if weights is not None or options:
            raise ArchitectureError("--weights and --option are of timm models; a folder has its own", weights)
        return read_transformers(transformers)
    return read_timm(load_timm(str(name), weights, **read_options(options)))
