"""``nasformer retrain``: train an architecture from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli import options, training
from nasformer.cli.output import console
from nasformer.cli.target import read_target, searched_with
from nasformer.errors import CheckpointError, FitnessError

if TYPE_CHECKING:
    from nasformer.space import SearchSpace


def retrain(
    target: Annotated[str, typer.Argument(metavar="RUN|SPACE", help="A search's folder, or a space.")],
    architecture: options.OfSpace = None,
    supernet: options.SupernetPath = None,
    data: options.Data = None,
    image_size: training.ImageSize = None,
    recipe: training.RecipeFile = None,
    epochs: training.Epochs = None,
    batch_size: training.TrainBatch = None,
    learning_rate: training.LearningRate = None,
    objective: training.KeepBest = None,
    teacher: training.TeacherName = None,
    teacher_weights: training.TeacherWeights = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: runs/SPACE-retrain.")] = None,
    resume: training.Resume = False,
    root: options.Root = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    readers: options.Readers = "auto",
    skip_unreadable: training.SkipUnreadable = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """Train an architecture from scratch.

    Recipe, data and splits default to those of the space's supernet, if one
    was trained (on --data, if given). The same command with --resume reaches the weights of an
    uninterrupted training.

    Examples:
      nasformer retrain runs/digits-tpe-seed0

      nasformer retrain fashion-mnist centroid --epochs 8

      nasformer retrain my-space.yaml largest --data /data/pets --image-size 64
    """
    from nasformer.training import is_main_process
    from nasformer.training import retrain as train
    from nasformer.training.opening import is_same

    space, chosen, origin = read_target(target, architecture, supernet, data)
    trained, held_out = _of_supernet(space, supernet, data, searched_with(target))
    known = trained.get("data", {})  # same splits as the supernet: search images must not become test images
    name = data or known.get("name") or space.name
    if image_size is not None and "image_size" in space.codec.values:
        chosen = chosen.replace(image_size=image_size)
    shown = not (quiet or json)
    how: dict[str, Any] = {"root": root, "seed": seed, "skip_unreadable": skip_unreadable, "progress": shown}
    dataset = training.read_data(
        name, space.geometry, image_size=image_size, trained_on=known, held_out=held_out, **how
    )
    if supernet is None and data is not None and not is_same(dataset, known, held_out):
        trained = {}  # the recipe is of other data
    given: dict[str, Any] = {"seed": seed, "epochs": epochs, "batch_size": batch_size, "teacher": teacher}
    given |= {"learning_rate": learning_rate, "keep_best": objective}
    recipe_here = training.read_recipe(recipe, trained, dataset, device, given=given)
    folder = out or options.run_folder(f"{space.name}-retrain")
    if is_main_process() and not json:
        words = f"training {chosen} from scratch on {dataset.name}: {training.sizes(dataset.record)}"
        console.print(words, soft_wrap=True)
    result = train(
        chosen,
        space,
        dataset,
        recipe_here,
        teacher=training.read_teacher(teacher, teacher_weights, dataset.num_classes),
        out=folder,
        source=origin,
        resume=resume,
        device=device,
        progress=shown,
        readers=options.readers_of(readers),
    )
    if is_main_process():
        training.show(result, folder, f"{space.name} from scratch on {dataset.name}", json=json)


def _of_supernet(
    space: SearchSpace, supernet: Path | None, data: str | None, searched: Mapping[str, Any]
) -> tuple[dict[str, Any], str | None]:
    """Return the training record and held-out names of the supernet of a space, or of a search; empty without one."""
    from nasformer.supernet import Supernet
    from nasformer.training import find_weights
    from nasformer.training.opening import supernet_file

    fitness = searched.get("fitness", {})
    try:
        file = supernet_file(space, supernet, searched=searched) if supernet or fitness.get("weights") else None
    except CheckpointError:  # the weights of the search are gone, its data are known
        return {"data": dict(fitness.get("data") or {})}, None
    file = file or find_weights(space, data)
    if file is None and data:
        with suppress(FitnessError):  # perhaps of data that have moved
            file = find_weights(space)
    if file is None:
        return {}, None
    net = Supernet.load(file, space)
    return dict(net.metadata.get("training", {})), net.metadata.get("held_out")
