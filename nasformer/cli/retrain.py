"""``nasformer retrain``: train an architecture from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli.options import (
    Data,
    Device,
    Json,
    OfSpace,
    Quiet,
    Readers,
    Root,
    Seed,
    SupernetPath,
    readers_of,
    run_folder,
)
from nasformer.cli.output import console
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
    read_target,
    read_teacher,
    show,
    sizes,
)

if TYPE_CHECKING:
    from nasformer.space import SearchSpace


def retrain(
    target: Annotated[str, typer.Argument(metavar="RUN|SPACE", help="A search's folder, or a space.")],
    architecture: OfSpace = None,
    supernet: SupernetPath = None,
    data: Data = None,
    image_size: ImageSize = None,
    recipe: RecipeFile = None,
    epochs: Epochs = None,
    batch_size: TrainBatch = None,
    learning_rate: LearningRate = None,
    objective: KeepBest = None,
    teacher: TeacherName = None,
    teacher_weights: TeacherWeights = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: runs/SPACE-retrain.")] = None,
    resume: Resume = False,
    root: Root = None,
    seed: Seed = 0,
    device: Device = "auto",
    readers: Readers = "auto",
    skip_unreadable: SkipUnreadable = False,
    quiet: Quiet = False,
    json: Json = False,
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
    from nasformer.cli.source import searched_with
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
    dataset = read_data(name, space.geometry, image_size=image_size, trained_on=known, held_out=held_out, **how)
    if supernet is None and data is not None and not is_same(dataset, known, held_out):
        trained = {}  # the recipe is of other data
    given: dict[str, Any] = {"seed": seed, "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    given["distillation"] = "off" if teacher == "none" else None
    given["keep_best"] = objective
    recipe_here = read_recipe(recipe, trained, dataset, device, given=given)
    folder = out or run_folder(f"{space.name}-retrain")
    if is_main_process() and not json:
        words = f"training {chosen} from scratch on {dataset.name}: {sizes(dataset.record)}"
        console.print(words, soft_wrap=True)
    result = train(
        chosen,
        space,
        dataset,
        recipe_here,
        teacher=read_teacher(teacher, teacher_weights, dataset.num_classes),
        out=folder,
        source=origin,
        resume=resume,
        device=device,
        progress=shown,
        readers=readers_of(readers),
    )
    if is_main_process():
        show(result, folder, f"{space.name} from scratch on {dataset.name}", json=json)


def _of_supernet(
    space: SearchSpace, supernet: Path | None, data: str | None, searched: Mapping[str, Any]
) -> tuple[dict[str, Any], str | None]:
    """Return the training record and held-out names of the supernet of a space, or of a search; empty without one."""
    from nasformer.errors import CheckpointError, FitnessError
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
