"""``nasformer retrain``: train an architecture from scratch."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli.options import OfSpace, SupernetPath, run_folder
from nasformer.cli.target import read_target, searched_with
from nasformer.cli.training import KeepBest, TrainingOptions, show, sizes, with_training_options
from nasformer.errors import CheckpointError, FitnessError

if TYPE_CHECKING:
    from nasformer.space import SearchSpace


@with_training_options
def retrain(
    target: Annotated[str, typer.Argument(metavar="RUN|SPACE", help="A search's folder, or a space.")],
    architecture: OfSpace = None,
    supernet: SupernetPath = None,
    objective: KeepBest = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: runs/SPACE-retrain.")] = None,
    *,
    options: TrainingOptions,
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

    data = options.data
    space, chosen, origin = read_target(target, architecture, supernet, data)
    trained, held_out = _of_supernet(space, supernet, data, searched_with(target))
    known = trained.get("data", {})  # same splits as the supernet: search images must not become test images
    name = data or known.get("name") or space.name
    if options.image_size is not None and "image_size" in space.codec.values:
        chosen = chosen.replace(image_size=options.image_size)
    dataset = options.read_data(name, space.geometry, trained_on=known, held_out=held_out)
    if supernet is None and data is not None and not is_same(dataset, known, held_out):
        trained = {}  # the recipe is of other data
    recipe = options.read_recipe(trained, dataset, keep_best=objective)
    folder = out or run_folder(f"{space.name}-retrain")
    options.say(f"training {chosen} from scratch on {dataset.name}: {sizes(dataset.record)}")
    result = train(chosen, space, dataset, recipe, out=folder, source=origin, **options.how(dataset))
    if is_main_process():
        show(result, folder, f"{space.name} from scratch on {dataset.name}", json=options.json)


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
