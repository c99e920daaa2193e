"""Shared by training commands: options, recipe, data and teacher."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from nasformer.cli.options import Data, Device, Json, Quiet, Readers, Root, Seed, readers_of
from nasformer.cli.output import command_line, console, print_json, print_table
from nasformer.errors import RecipeError

if TYPE_CHECKING:
    from nasformer.cost import Geometry
    from nasformer.data import Dataset
    from nasformer.training import FinetuneResult, Recipe, Teacher

RecipeFile = Annotated[Path | None, typer.Option("--recipe", metavar="FILE", help="YAML of a training recipe.")]
SkipUnreadable = Annotated[bool, typer.Option("--skip-unreadable", help="Leave out images that cannot be read.")]
KeepBest = Annotated[
    str | None, typer.Option("--objective", metavar="METRIC", help="Keep the best epoch by this validation metric.")
]


@dataclass(frozen=True)
class TrainingOptions:
    """The options that all trainings share."""

    data: Data = None
    image_size: Annotated[
        int | None, typer.Option(min=1, help="Pixels; default: the network's, or the data's own.")
    ] = None
    recipe: RecipeFile = None
    epochs: Annotated[int | None, typer.Option(min=1, help="Overrides the recipe's.")] = None
    batch_size: Annotated[int | None, typer.Option("--batch-size", min=1, help="Overrides the recipe's.")] = None
    learning_rate: Annotated[float | None, typer.Option(help="Overrides the recipe's.")] = None
    teacher: Annotated[
        str | None, typer.Option("--teacher", metavar="NAME", help="timm:NAME, a nasformer .safetensors, or none.")
    ] = None
    teacher_weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of a timm teacher; default: timm's own.")
    ] = None
    resume: Annotated[bool, typer.Option("--resume", help="Resume from the last checkpoint in --out.")] = False
    root: Root = None
    seed: Seed = 0
    device: Device = "auto"
    readers: Readers = "auto"
    skip_unreadable: SkipUnreadable = False
    quiet: Quiet = False
    json: Json = False

    @property
    def progress(self) -> bool:
        """Whether progress is shown."""
        return not (self.quiet or self.json)

    def say(self, text: str) -> None:
        """Print a line, unless JSON is printed or another process prints."""
        from nasformer.training import is_main_process

        if is_main_process() and not self.json:
            console.print(text, soft_wrap=True)

    def read_data(self, name: str, geometry: Geometry, **trained: Any) -> Dataset:
        """Return the dataset; the arguments are those of the function ``read_data``."""
        how: dict[str, Any] = {"root": self.root, "seed": self.seed, "skip_unreadable": self.skip_unreadable}
        return read_data(name, geometry, image_size=self.image_size, progress=self.progress, **how, **trained)

    def read_recipe(
        self,
        trained: Mapping[str, Any],
        dataset: Dataset,
        *,
        further: bool = False,
        family: bool = False,
        keep_best: str | None = None,
    ) -> Recipe:
        """Return the recipe; the arguments are those of the function ``read_recipe``."""
        given = {name: getattr(self, name) for name in ("seed", "epochs", "batch_size", "learning_rate")}
        given |= {"distillation": "off" if self.teacher == "none" else None, "keep_best": keep_best}
        return read_recipe(self.recipe, trained, dataset, self.device, further=further, family=family, given=given)

    def how(self, dataset: Dataset) -> dict[str, Any]:
        """Return the arguments of a training that do not depend on the network."""
        teacher = read_teacher(self.teacher, self.teacher_weights, dataset.num_classes)
        run = {"resume": self.resume, "device": self.device, "progress": self.progress}
        return {"teacher": teacher, **run, "readers": readers_of(self.readers)}


def with_training_options(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that has the options of ``TrainingOptions``, its last argument."""
    hints = get_type_hints(TrainingOptions, include_extras=True)
    shared = [
        inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=each.default, annotation=hints[each.name])
        for each in fields(TrainingOptions)
    ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        options = TrainingOptions(**{each.name: given.pop(each.name) for each in shared})
        command(**given, options=options)

    own = inspect.signature(command, eval_str=True)
    run.__signature__ = own.replace(parameters=[*list(own.parameters.values())[:-1], *shared])  # type: ignore[attr-defined]
    return run


def read_recipe(
    file: Path | None,
    trained: Mapping[str, Any],
    dataset: Dataset,
    device: str = "auto",
    *,
    further: bool = False,
    family: bool = False,
    given: Mapping[str, Any] | None = None,
) -> Recipe:
    """Return the recipe of a training, else the dataset's default, completed from a file and options.

    Args:
        file: YAML of values that are given.
        trained: Record of a training.
        dataset: The dataset.
        device: Device of the training.
        further: Whether to fine-tune with it.
        family: Whether it trains a supernet from a trained checkpoint.
        given: Values of options; None: not given.

    Raises:
        RecipeError: It cannot be read, or has an invalid value.
    """
    from nasformer.training import Recipe, default_recipe
    from nasformer.training.defaults import family_recipe, recorded_recipe

    changes = {} if file is None else Recipe.read(file)
    changes |= {name: value for name, value in (given or {}).items() if value is not None}
    if family:
        return family_recipe(dataset, device, changes)
    if "recipe" not in trained:
        recipe = default_recipe(dataset, device, {} if further else changes)
        return recipe.finetuning().replace(**changes) if further else recipe
    recipe = recorded_recipe(trained["recipe"], dataset)
    return (recipe.finetuning() if further else recipe).replace(**changes)


def read_data(
    name: str,
    geometry: Geometry,
    *,
    root: Path | None,
    seed: int = 0,
    image_size: int | None = None,
    trained_on: Mapping[str, Any] | None = None,
    file: Path | None = None,
    held_out: str | None = None,
    skip_unreadable: bool = False,
    progress: bool = False,
) -> Dataset:
    """Return a dataset that was looked at: with the splits of a training, if weights were trained on it.

    Args:
        name: The dataset.
        geometry: Geometry of the network, for size and channels of images read from files.
        root: Folder of the files.
        seed: Seed of the splits of data that trained nothing yet.
        image_size: Size that the user asked for, in pixels; a dataset with another fixed size is then refused.
        trained_on: Record of the training dataset of weights.
        file: These weights, for messages.
        held_out: Names of the search and test images of that training.
        skip_unreadable: Whether to leave out images that cannot be read.
        progress: Whether to show progress.

    Raises:
        DataError: It cannot be loaded, or an image cannot be read.
    """
    from nasformer.data import resizable
    from nasformer.data.examine import examined
    from nasformer.training import is_main_process
    from nasformer.training.opening import open_dataset

    if not is_main_process():
        logging.getLogger("nasformer.data").setLevel(logging.ERROR)  # the main process says it
    size = geometry.image_size if image_size is None and resizable(name) else image_size
    channels = geometry.in_channels if resizable(name) and len(geometry.input_shape) == 3 else None
    shape = {"root": root, "image_size": size, "in_channels": channels}
    dataset = open_dataset(name, trained_on or {}, file or "", held_out=held_out, seed=seed, **shape)
    return examined(dataset, skip_unreadable=skip_unreadable, progress=progress)


def read_teacher(name: str | None, weights: Path | None, num_classes: int) -> Teacher | None:
    """Return the teacher of ``--teacher`` and ``--teacher-weights``.

    Raises:
        RecipeError: Weights without a timm teacher, or timm has no such model.
        CheckpointError: The weights are missing or unreadable.
    """
    from nasformer.training import load_teacher

    if weights is not None and not (name or "").startswith("timm:"):
        raise RecipeError(f"--teacher-weights {weights} needs --teacher timm:NAME, got {name!r}", weights)
    return None if name in (None, "none") else load_teacher(name, weights=weights, num_classes=num_classes)


def show(result: FinetuneResult, folder: Path, title: str, *, json: bool) -> None:
    """Write the report of a training, and print a summary."""
    from nasformer.report import paired_verdict, write_training_report
    from nasformer.report.tables.training import start_of
    from nasformer.tasks import task_of

    page = write_training_report(folder, result.to_dict(), title=title, command=command_line())
    if json:
        print_json({"folder": str(folder), "report": str(page), **result.to_dict()})
        return
    figures, task = result.figures, task_of(result.training.data)
    done = {"finetune": "fine-tuned", "retrain": "retrained"}[figures["kind"]]
    scores = {start_of(figures): figures.get("before"), done: figures["test"]}
    metrics = [metric for metric in task.metrics if figures["test"].get(metric.name) is not None]
    rows = [
        (name, *(metric.text(each[metric.name]) if metric.name in each else "–" for metric in metrics))
        for name, each in scores.items()
        if each is not None
    ]
    if figures.get("taught_by"):
        console.print(f"Distilled from {figures['taught_by']}.", soft_wrap=True)
    examples = task.examples
    print_table(f"{figures['test'][examples]:,} test {examples}", ("", *(metric.title for metric in metrics)), rows)
    if "paired" in figures:
        console.print(paired_verdict(task, figures["paired"]), soft_wrap=True)
    if result.training.kept != result.training.recipe.epochs:
        by = task.metric(result.training.recipe.keep_best or "").title
        console.print(f"Kept is epoch {result.training.kept}, the best by {by} of the search split.", soft_wrap=True)
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
