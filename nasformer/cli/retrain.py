"""``nasformer retrain``: train an architecture from scratch."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from nasformer.cli.options import Data, Device, Json, OfSpace, Quiet, Root, Seed, SupernetPath, run_folder
from nasformer.cli.output import console
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
    read_target,
    read_teacher,
    show,
    sizes,
)


def retrain(
    target: Annotated[str, typer.Argument(metavar="RUN|SPACE", help="A search's folder, or a space.")],
    architecture: OfSpace = None,
    supernet: SupernetPath = None,
    data: Data = None,
    image_size: ImageSize = None,
    recipe: RecipeFile = None,
    epochs: Epochs = None,
    learning_rate: LearningRate = None,
    teacher: TeacherName = None,
    teacher_weights: TeacherWeights = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: runs/SPACE-retrain.", show_default=False)
    ] = None,
    resume: Resume = False,
    root: Root = None,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Train an architecture from scratch.

    Recipe, data and splits default to those of the space's supernet, if one
    was trained. The same command with --resume reaches the weights of an
    uninterrupted training.

    Examples:
      nasformer retrain runs/digits-tpe-seed0

      nasformer retrain fashion-mnist centroid --epochs 8

      nasformer retrain my-space.yaml largest --data imagefolder:/data/pets --image-size 64
    """
    from nasformer.cli.source import searched_with
    from nasformer.registry import same_data
    from nasformer.training import is_main_process
    from nasformer.training import retrain as train

    space, chosen, origin = read_target(target, architecture)
    trained = _of_supernet(space, supernet)
    searched = dict(searched_with(target).get("data") or {})
    if supernet is None and searched.get("fingerprint") != trained.get("data", {}).get("fingerprint"):
        trained = {"data": searched} if searched else trained  # the space's supernet is another by now
    name = data or trained.get("data", {}).get("name") or space.name
    read = partial(read_recipe, recipe, trained, name, seed=seed, epochs=epochs, learning_rate=learning_rate)
    size = image_size or space.geometry.image_size
    if image_size is not None and "image_size" in space.codec.values:
        chosen = chosen.replace(image_size=image_size)
    known = trained.get("data", {})  # same splits as the supernet: search images must not become test images
    split = known.get("seed") or 0 if same_data(name, known) else seed
    dataset = read_data(name, read(), seed=split, root=root, image_size=size, asked=image_size is not None)
    how = read(dataset=dataset)
    folder = out or run_folder(f"{space.name}-retrain")
    if is_main_process() and not json:
        words = f"training {chosen} from scratch on {dataset.name}: {sizes(dataset.record)}"
        console.print(words, markup=False, soft_wrap=True)
    result = train(
        chosen,
        space,
        dataset,
        how,
        teacher=read_teacher(teacher, teacher_weights, dataset.num_classes),
        out=folder,
        source=origin,
        resume=resume,
        device=device,
        progress=not (quiet or json),
    )
    if is_main_process():
        show(result, folder, f"{space.name} from scratch on {dataset.name}", json=json)


def _of_supernet(space: Any, supernet: Path | None) -> dict[str, Any]:
    """Return the training record of the space's supernet; empty if there is none."""
    from nasformer.fitness import find_weights
    from nasformer.registry import load_supernet

    if supernet is None and find_weights(space) is None:
        return {}
    net, _ = load_supernet(space, supernet)
    return dict(net.metadata.get("training", {}))
