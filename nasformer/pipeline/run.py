"""Run: the stages of ``fit``. Each says what it decided, and is not decided again when the same call goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from nasformer._parse import parse_json, read_text
from nasformer.architecture import Architecture
from nasformer.cost import COSTS, LatencyTable, Limits, format_limits
from nasformer.data import Dataset, load_dataset, resizable
from nasformer.data.data_config import CROP
from nasformer.data.examine import examine, examined
from nasformer.data.names import slug
from nasformer.export.description import FILE as RECORD
from nasformer.export.exporter import export
from nasformer.export.formats import default_format
from nasformer.growth import GrownFront, grow_front
from nasformer.pipeline.journal import Decision, Journal
from nasformer.pipeline.result import FitResult, FittedModel
from nasformer.pipeline.space import space_for
from nasformer.registry import open_dataset
from nasformer.report.fit import write_fit_report
from nasformer.report.notation import compact
from nasformer.search.progress import duration
from nasformer.space import SearchSpace, load_space, space_names
from nasformer.supernet import Supernet
from nasformer.supernet.checkpoint import read_checkpoint
from nasformer.supernet.family import Checkpoint
from nasformer.supernet.from_timm import load_timm, read_timm
from nasformer.supernet.from_transformers import read_transformers
from nasformer.supernet.latency import check_prediction, measure_blocks, measure_networks
from nasformer.training import Recipe, default_recipe, find_device, train_supernet
from nasformer.training.compute import for_images
from nasformer.training.defaults import family_recipe
from nasformer.training.family import family_of
from nasformer.training.pace import seconds_per_image
from nasformer.training.supernet import FILE as WEIGHTS
from nasformer.training.teacher import from_checkpoint

SUPERNET_SHARE = 0.35
"""Share of the time that trains the supernet."""

_IMAGE_SIZE = 64
_EXPORT_SECONDS = 12
_CONFIRMED = 3
_REPEATS = 20
_SPACE, _RECIPE, _TABLE = "space.yaml", "recipe.yaml", "latency.json"
_FAMILY, _NETWORKS, _MODELS = "family.safetensors", "networks", "models"


@dataclass(frozen=True)
class Settings:
    """What a run is asked for; attributes as arguments of ``fit``."""

    data: str
    budgets: tuple[Mapping[str, float], ...]
    hours: float | None = None
    space: str | None = None
    timm: str | None = None
    weights: str | None = None
    timm_options: Mapping[str, Any] = field(default_factory=dict)
    transformers: str | None = None
    image_size: int | None = None
    format: str | None = None
    evaluations: int = 100
    strategy: str = "thompson"
    seed: int = 0


class Run:
    """The stages of a run.

    Args:
        settings: What it is to do.
        folder: Its folder.
        how: ``device``, ``readers`` and ``progress``.
        say: Called with a line per stage.
        command: The shell command, for the report.
    """

    def __init__(
        self, settings: Settings, folder: Path, how: dict[str, Any], say: Callable[[str], None], command: str = ""
    ) -> None:
        arguments = {**asdict(settings), "budgets": [dict(each) for each in settings.budgets]}
        self.settings, self.folder, self.how, self.command = settings, folder, how, command
        self.journal, self.scale = Journal(folder, arguments, say), 1.0

    def result(self) -> FitResult:
        """Run what is left, and return the result."""
        data = self._data()
        net = self._timed(self._net(data))
        self.space = net.space
        recipe = self._train(net, data)
        front = self._grow(net, data, recipe)
        models = tuple(self._models(front, data))
        page = self._page(models, net)
        self.journal.save()
        return FitResult(self.folder, models, page, self.journal.seconds)

    # Data

    def _data(self) -> Dataset:
        """Return the dataset, with the splits of the supernet's training if there is one."""
        given, trained = self.settings, self.folder / "supernet" / WEIGHTS
        size = self.journal.stage("size", self._image_size)["pixels"] if resizable(given.data) else None
        if trained.is_file():
            known = read_checkpoint(trained, "supernet")[0]["metadata"]
            record, held_out = known.get("training", {}).get("data", {}), known.get("held_out")
            data = open_dataset(given.data, record, trained, held_out=held_out, seed=given.seed, image_size=size)
        else:
            known = (source.source.get("preprocessing") or {}) if (source := self._checkpoint) else {}
            steps = {"crop_pct": CROP, **known} if known else None
            data = load_dataset(given.data, seed=given.seed, image_size=size, preprocessing=steps)
        data = examined(data, progress=self.how["progress"])

        def looked() -> tuple[Decision, str]:
            sizes = ", ".join(f"{len(split):,} {name}" for name, split in data.splits.items())
            return {}, f"{data.name}: {sizes} {data.task.examples}; {data.task.name}, {data.num_classes} outputs"

        self.journal.stage("data", looked)
        return data

    def _image_size(self) -> tuple[Decision, str]:
        """Decide the resolution of images from files."""
        if self.settings.image_size is not None:
            return {"pixels": self.settings.image_size}, f"{self.settings.image_size} pixels, as asked"
        if self._checkpoint is not None:
            pixels = self._checkpoint.geometry.image_size
            return {"pixels": pixels}, f"{pixels} pixels, as the model"
        found = examine(load_dataset(self.settings.data, seed=self.settings.seed), progress=self.how["progress"])
        if found is None or not found.widths:
            return {"pixels": None}, "that of the data"
        middle = min(median(found.widths), median(found.heights))
        pixels = max(8, min(_IMAGE_SIZE, int(middle) // 8 * 8))
        return {
            "pixels": pixels
        }, f"{pixels} pixels: the median image has {middle:g}, and more than {_IMAGE_SIZE} are slow"

    @cached_property
    def _checkpoint(self) -> Checkpoint | None:
        """The trained model to make smaller; None: there is none."""
        given = self.settings
        if given.transformers is not None:
            return read_transformers(given.transformers).at(given.image_size)
        if given.timm is None:
            return None
        return read_timm(load_timm(given.timm, given.weights, **given.timm_options)).at(given.image_size)

    # Supernet

    def _net(self, data: Dataset) -> Supernet:
        """Return the supernet before its training, or after it."""
        trained, family = self.folder / "supernet" / WEIGHTS, self.folder / _FAMILY
        file = next((each for each in (trained, family) if each.is_file()), None)
        if file is not None:
            net = Supernet.load(file)
        elif self._checkpoint is not None:
            net, _ = family_of(self._checkpoint, data, self.settings.space, seed=self.settings.seed)
            net.save(family)
        else:
            net = Supernet(self._space(data), seed=self.settings.seed)

        def made() -> tuple[Decision, str]:
            space = net.space
            space.save(self.folder / _SPACE)
            words = f"{space.size():.2g} architectures of {compact(space.macs(space.smallest))} to "
            return {}, f"{words}{compact(space.macs(space.largest))} MACs{self._reason()}"

        self.journal.stage("space", made)
        return net

    def _reason(self) -> str:
        if self.settings.space is not None:
            return f": {self.settings.space}"
        return ", the largest is the model" if self._checkpoint is not None else ", for these images and budgets"

    def _space(self, data: Dataset) -> SearchSpace:
        """Return the space of networks that are trained from scratch."""
        if (self.folder / _SPACE).is_file():
            return load_space(self.folder / _SPACE)
        if self.settings.space is not None:
            shape = {"image_size": data.image_size, "in_channels": data.in_channels, "num_classes": data.num_classes}
            found = load_space(self.settings.space)
            return found.for_data(**shape) if self.settings.space in space_names() else found
        bounds = [dict(each) for each in self.settings.budgets]
        most = {name: max(each[name] for each in bounds) for name in bounds[0]}
        if (latency := most.pop("latency_ms", None)) is not None:
            some = space_for(data, {}, data.name)
            (micros,) = measure_networks(some.geometry, [some.largest], device=self._device, repeats=_REPEATS)
            most["macs"] = some.macs(some.largest) * latency * 1000 / micros
        return space_for(data, most, self.folder.name)

    @property
    def _device(self) -> Any:
        return find_device(self.how["device"])

    def _timed(self, net: Supernet) -> Supernet:
        """Return the supernet in a space with measured latencies, if a budget bounds them."""
        if not any("latency_ms" in each for each in self.settings.budgets):
            return net
        path = self.folder / _TABLE

        def measured() -> tuple[Decision, str]:
            table = measure_blocks(net.space, device=self._device, repeats=_REPEATS)
            table.save(path)
            found = check_prediction(table, net.space, device=self._device)
            scale = median(m / p for m, p in zip(found.measured, found.predicted, strict=True))
            words = f"{table.device}: whole networks take {scale:.2f} times the sum of their blocks"
            return {"scale": scale}, f"{words}; median error {100 * found.median_error:.0f} %"

        self.scale = float(self.journal.stage("latency", measured)["scale"])
        net.space = net.space.with_cost(LatencyTable.load(path).cost())
        return net

    def _limits(self) -> list[dict[str, float]]:
        """Return the budgets of the search: latencies as the sum of blocks, which whole networks exceed by a factor."""
        scales = {"latency_ms": 1 / self.scale}
        return [{name: most * scales.get(name, 1) for name, most in each.items()} for each in self.settings.budgets]

    def _train(self, net: Supernet, data: Dataset) -> Recipe:
        """Train the supernet, and return the recipe."""

        def planned() -> tuple[Decision, str]:
            family = from_checkpoint(net)
            recipe = (family_recipe if family else default_recipe)(data, self.how["device"])
            if not family:
                spans = [net.space.feasible(**limits).bounds("macs") for limits in self._limits()]
                recipe = recipe.replace(sampling="bins", budget={"macs": [min(spans)[1] / 2, max(spans)[1]]})
            pace = seconds_per_image(train_supernet, net, data, recipe, **self.how)
            images = float(recipe.epochs * len(data.train))
            if self.settings.hours is not None:
                images = min(images, SUPERNET_SHARE * self._left() / pace)
                recipe = for_images(recipe, images, len(data.train))
            recipe.save(self.folder / _RECIPE)
            decision = {"recipe": recipe.to_dict(), "seconds": images * pace}
            words = f"{recipe.epochs} epochs of {recipe.epoch_images or len(data.train):,} images, "
            return decision, f"{words}about {duration(images * pace)}"

        plan = self.journal.stage("training", planned)
        recipe, folder = Recipe(**plan["recipe"]), self.folder / "supernet"
        if not (folder / WEIGHTS).is_file():
            train_supernet(net, data, recipe, out=folder, resume=folder.is_dir(), keep=False, **self.how)

        def trained() -> tuple[Decision, str]:
            scores = net.metadata["training"]["validation"]
            metric = data.task.metrics[0]
            return {}, ", ".join(f"{name} {metric.text(each[metric.name])}" for name, each in scores.items())

        self.journal.stage("supernet", trained)
        return recipe

    def _left(self) -> float:
        """Return the seconds left for trainings."""
        assert self.settings.hours is not None
        reserved = _EXPORT_SECONDS * (1 + len(self.settings.budgets))
        return max(1.0, 3600 * self.settings.hours - self.journal.seconds - reserved)

    # Networks

    def _grow(self, net: Supernet, data: Dataset, recipe: Recipe) -> GrownFront:
        """Search and fine-tune the network of each budget."""
        supernet = self.journal.known["stages"]["training"]["decision"]["seconds"]

        def planned() -> tuple[Decision, str]:
            seconds = supernet if self.settings.hours is None else self._left()
            words = f"{len(self.settings.budgets)} budgets, {self.settings.evaluations} evaluations"
            return {"seconds": seconds}, f"{words}, about {duration(seconds)} with their fine-tuning"

        seconds = self.journal.stage("search", planned)["seconds"]
        single = (
            recipe.finetuning()
            if from_checkpoint(net)
            else recipe.finetuning().replace(learning_rate=recipe.learning_rate)
        )
        front = grow_front(
            net,
            data,
            self._limits(),
            single,
            seconds=seconds,
            evaluations=self.settings.evaluations,
            strategy=self.settings.strategy,
            racing=True,
            confirm=_CONFIRMED,
            keeps=self._keeps if net.space.known_costs.keys() - COSTS.keys() else None,
            seed=self.settings.seed,
            out=self.folder / _NETWORKS,
            resume=True,
            **self.how,
        )

        def found() -> tuple[Decision, str]:
            metric = data.task.metrics[0]
            names = [format_limits(net.space.feasible(**each).limits) for each in self.settings.budgets]
            told = [metric.text(each.tuned.figures["test"][metric.name]) for each in front.winners]
            return {}, "; ".join(f"{name}: {text}" for name, text in zip(names, told, strict=True))

        self.journal.stage("networks", found)
        return front

    def _keeps(self, architecture: Architecture, limits: Limits) -> bool:
        """Whether a whole network keeps its latency as measured."""
        most = float(limits["latency_ms"].high or 0) * self.scale
        return self._latency(architecture) <= most

    def _latency(self, architecture: Architecture) -> float:
        """Return the measured milliseconds of a whole network."""
        (micros,) = measure_networks(self.space.geometry, [architecture], device=self._device, repeats=_REPEATS)
        return micros / 1000

    # Files

    def _models(self, front: GrownFront, data: Dataset) -> Iterator[FittedModel]:
        """Export the network of each budget."""

        def chosen() -> tuple[Decision, str]:
            format = self.settings.format or default_format()
            return {"format": format}, f"{format}, in {self.folder / _MODELS}"

        format = self.journal.stage("files", chosen)["format"]
        for own, winner in zip(self.settings.budgets, front.winners, strict=True):
            folder = self.folder / _MODELS / "-".join(f"{name}-{value:g}" for name, value in own.items())
            if not folder.is_dir():
                export(winner.tuned.net, data, folder, format=format, provenance={"budget": dict(own)})
            record = parse_json(read_text(folder / RECORD))
            yield FittedModel(
                dict(own),
                folder,
                folder / record["file"],
                winner.architecture,
                self.space.costs(winner.architecture),
                self._latency(winner.architecture) if "latency_ms" in own else None,
                record["test"],
                record["bytes"],
            )

    def _page(self, models: Sequence[FittedModel], net: Supernet) -> Path:
        """Write the report."""
        found = {
            "space": net.space.to_dict(),
            "models": [model.to_dict() for model in models],
            "stages": {name: stage["line"] for name, stage in self.journal.known["stages"].items()},
            "training": net.metadata["training"],
            "seconds": self.journal.seconds,
        }
        title = f"Vision transformers for {slug(self.settings.data)}"
        return write_fit_report(self.folder, found, title=title, command=self.command)
