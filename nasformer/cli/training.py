"""Shared by training commands: options, recipe, data and teacher."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli.output import command_line, console, print_json, print_table

if TYPE_CHECKING:
    from nasformer.architecture import Architecture
    from nasformer.data import Dataset
    from nasformer.space import SearchSpace
    from nasformer.training import FinetuneResult, Recipe, Teacher

_LOGGER = logging.getLogger(__name__)

RecipeFile = Annotated[
    Path | None, typer.Option("--recipe", metavar="FILE", help="YAML of a training recipe.", show_default=False)
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Overrides the recipe's.", show_default=False)]
LearningRate = Annotated[float | None, typer.Option(help="Overrides the recipe's.", show_default=False)]
Resume = Annotated[bool, typer.Option("--resume", help="Resume from the last checkpoint in --out.")]
ImageSize = Annotated[
    int | None, typer.Option(min=1, help="Pixels; default: the network's, or the data's own.", show_default=False)
]
TeacherName = Annotated[
    str | None,
    typer.Option("--teacher", metavar="NAME", help="timm:NAME, or a nasformer .safetensors.", show_default=False),
]
TeacherWeights = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Of a timm teacher; default: timm's own.", show_default=False)
]


def read_recipe(
    file: Path | None,
    trained: Mapping[str, Any],
    data: str,
    *,
    epochs: int | None,
    seed: int | None = None,
    learning_rate: float | None = None,
    further: bool = False,
    dataset: Dataset | None = None,
) -> Recipe:
    """Return the recipe of a file, else of a training, else the data's default; with the given changes.

    Without a file it is fitted to ``dataset``, if that is known: it was read as the recipe without it says.

    Raises:
        RecipeError: It cannot be read, or has an invalid value.
    """
    from nasformer.training import Recipe

    if file is not None:
        recipe = Recipe.load(file)
    else:
        task = None if dataset is None else dataset.task
        recipe = Recipe(**trained["recipe"]) if "recipe" in trained else Recipe.for_dataset(data, task)
        recipe = recipe.finetuning() if further else recipe
        recipe = recipe if dataset is None else _fitted(recipe, dataset)
    given = {"seed": seed, "epochs": epochs, "learning_rate": learning_rate}
    return recipe.replace(**{name: value for name, value in given.items() if value is not None})


def _fitted(recipe: Recipe, dataset: Dataset) -> Recipe:
    """Return a recipe without mixing where the task has none, and with batches of an eighth of few train images."""
    images = len(dataset.train)
    if not dataset.task.softens:
        recipe = recipe.replace(mixup=0.0, cutmix=0.0, label_smoothing=0.0)
    if recipe.batch_size > images:
        recipe = recipe.replace(batch_size=max(2, 2 ** ((images // 8).bit_length() - 1)), accumulation_steps=1)
        _LOGGER.warning("batch size %d: there are %d train %s", recipe.batch_size, images, dataset.task.examples)
    return recipe


def read_data(
    name: str, recipe: Recipe, *, seed: int, root: Path | None, image_size: int | None, asked: bool = False
) -> Dataset:
    """Return a dataset; images read from files are augmented by the recipe.

    Args:
        name: The dataset.
        recipe: The recipe.
        seed: Seed of the splits.
        root: Folder of the files.
        image_size: Crop size of images read from files, in pixels.
        asked: Whether the user asked for that size; a dataset with another fixed size is then refused.

    Raises:
        DataError: It cannot be loaded.
    """
    from nasformer.data import augmentation, load_dataset, resizable

    size = image_size if asked or resizable(name) else None
    return load_dataset(name, seed=seed, root=root, image_size=size, **augmentation(name, recipe.to_dict()))


def read_teacher(name: str | None, weights: Path | None, num_classes: int) -> Teacher | None:
    """Return the teacher of ``--teacher`` and ``--teacher-weights``.

    Raises:
        RecipeError: Weights without a timm teacher, or timm has no such model.
        CheckpointError: The weights are missing or unreadable.
    """
    from nasformer.errors import RecipeError
    from nasformer.training import load_teacher

    if weights is not None and not (name or "").startswith("timm:"):
        raise RecipeError(f"--teacher-weights {weights} needs --teacher timm:NAME, got {name!r}", weights)
    return None if name is None else load_teacher(name, weights=weights, num_classes=num_classes)


def run_file(target: str) -> Path | None:
    """Return the result file of a run; None for a space, even if a folder has its name."""
    from nasformer.cli.search import RESULT
    from nasformer.space import space_names

    path = Path(target)
    if path.suffix == ".jsonl":
        return path
    file = path / RESULT
    return file if file.is_file() or (path.is_dir() and target not in space_names()) else None


def read_target(target: str, architecture: str | None) -> tuple[SearchSpace, Architecture, dict[str, Any]]:
    """Resolve ``RUN|SPACE [ARCH]``: the winner of a search or an architecture of a space, with its provenance.

    Raises:
        ArchitectureError: It is neither, or a run with an architecture.
        StudyError: The run cannot be read.
    """
    from nasformer.cli.cost import read_architecture
    from nasformer.errors import ArchitectureError
    from nasformer.search import SearchResult
    from nasformer.space import load_space

    run = run_file(target)
    if run is not None:
        if architecture is not None:
            raise ArchitectureError(
                f"a run has its own architecture, got {architecture!r}; name its space instead", architecture
            )
        result = SearchResult.load(run)
        return result.space, result.best.architecture, origin(result.space, result.settings)
    space = load_space(target)
    return space, read_architecture(space, architecture or "largest"), origin(space)


def require_same_weights(wanted: str | None, found: str) -> None:
    """Check by hash that weights are those of a search; None: it used none.

    Raises:
        CheckpointError: They differ.
    """
    from nasformer.errors import CheckpointError

    if wanted is not None and wanted != found:
        raise CheckpointError(
            f"the search used the weights {wanted}, but these are {found}; give the supernet with --supernet", found
        )


def origin(space: SearchSpace, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the provenance of an architecture: its space, and the search that found it, if any."""
    found = {"space": space.name, "space_fingerprint": space.fingerprint}
    if settings is None:
        return found
    known = {"strategy": "strategy", "search_seed": "seed", "evaluations": "evaluations"}
    return {**found, **{name: settings.get(key) for name, key in known.items()}}


def show(result: FinetuneResult, folder: Path, title: str, *, json: bool) -> None:
    """Write the report of a training, and print a summary."""
    from nasformer.report import write_training_report
    from nasformer.tasks import task_of

    page = write_training_report(folder, result.to_dict(), title=title, command=command_line())
    if json:
        print_json({"folder": str(folder), "report": str(page), **result.to_dict()})
        return
    figures, task = result.figures, task_of(result.training.data)
    done = {"finetune": "fine-tuned", "retrain": "retrained"}[figures["kind"]]
    scores = {"inherited": figures.get("before"), done: figures["test"]}
    metrics = [metric for metric in task.metrics if figures["test"].get(metric.name) is not None]
    rows = [
        (name, *(metric.text(each[metric.name]) if metric.name in each else "–" for metric in metrics))
        for name, each in scores.items()
        if each is not None
    ]
    examples = task.examples
    print_table(f"{figures['test'][examples]:,} test {examples}", ("", *(metric.title for metric in metrics)), rows)
    here = figures["speed"]
    console.print(
        f"{figures['params']:,} parameters, {figures['macs']:,} MACs; {here['latency_ms']:.2f} ms per {task.example}, "
        f"{here['images_per_second']:,.0f} {examples}/s on this machine.\n"
        f"Weights, log and {figures['kind']}.json: {folder}\nReport: {page}",
        soft_wrap=True,
    )


def sizes(record: Mapping[str, Any]) -> str:
    """Return the sizes of the splits as text."""
    from nasformer.tasks import task_of

    splits = ", ".join(f"{count:,} {name}" for name, count in record["splits"].items())
    return f"{splits} {task_of(record).examples}"
