"""Run: the stages of ``fit``. Each says what it decided, and is not decided again when the same call goes on."""

from __future__ import annotations

import math
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
from nasformer.diagnose.rivals import largest_uniform
from nasformer.export.description import FILE as RECORD
from nasformer.export.exporter import export
from nasformer.growth import GrownFront, grow_front
from nasformer.latency import default_runtime, measure_blocks, measure_deployed
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
from nasformer.training import FinetuneResult, Recipe, default_recipe, retrain, train_supernet
from nasformer.training.compute import for_compute, for_images
from nasformer.training.defaults import family_recipe
from nasformer.training.family import family_of
from nasformer.training.pace import seconds_per_image
from nasformer.training.supernet import FILE as WEIGHTS
from nasformer.training.teacher import from_checkpoint

SUPERNET_SHARE = 0.25
"""Share of the compute that trains the supernet; searches and fine-tunings have the rest."""

_IMAGE_SIZE = 64
_EXPORT_SECONDS = 12
_CONFIRMED = 3
_REPEATS = 20
_CHECKED = 8
_SPACE, _RECIPE, _TABLE = "space.yaml", "recipe.yaml", "latency.json"
_FAMILY, _NETWORKS, _RIVALS, _MODELS = "family.safetensors", "networks", "rivals", "models"


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
    epochs: int | None = None
    evaluations: int = 100
    strategy: str = "thompson"
    compare: bool = False
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
        rivals = self._rivals(front, net, data, recipe)
        models = tuple(self._models(front, rivals, data))
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
            (timing,) = measure_deployed([some.largest], geometry=some.geometry, **self._deployed)
            most["macs"] = some.macs(some.largest) * latency / timing.median_ms
        return space_for(data, most, self.folder.name)

    @property
    def _deployed(self) -> dict[str, Any]:
        """How networks are deployed: exported to ONNX in onnxruntime, other formats in torch."""
        runtime = "onnxruntime" if self._format.startswith("onnx") else "torch"
        return {"runtime": runtime, "repeats": _REPEATS}

    @property
    def _format(self) -> str:
        """The format of the files: ONNX where it is installed."""
        return self.settings.format or ("onnx" if default_runtime() == "onnxruntime" else "safetensors")

    def _timed(self, net: Supernet) -> Supernet:
        """Return the supernet in a space with measured latencies, if a budget bounds them."""
        if not any("latency_ms" in each for each in self.settings.budgets):
            return net
        path = self.folder / _TABLE

        def measured() -> tuple[Decision, str]:
            table, found = measure_blocks(net.space, networks=_CHECKED, max_spread=math.inf, **self._deployed)
            table.save(path)
            scale = median(m / p for m, p in zip(found.measured, found.predicted, strict=True))
            words = f"{table.runtime} on {table.device}: whole networks take {scale:.2f} times the sum of their blocks"
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
            if self.settings.epochs is not None:
                recipe = recipe.replace(epochs=self.settings.epochs)
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
        """Return the seconds left for the networks; rivals take as long again as everything before."""
        assert self.settings.hours is not None
        reserved = _EXPORT_SECONDS * (1 + len(self.settings.budgets))
        rivals = 2 if self.settings.compare else 1
        return max(1.0, 3600 * self.settings.hours / rivals - self.journal.seconds - reserved)

    # Networks

    def _grow(self, net: Supernet, data: Dataset, recipe: Recipe) -> GrownFront:
        """Search and fine-tune the network of each budget."""
        ratio = (1 - SUPERNET_SHARE) / SUPERNET_SHARE

        def planned() -> tuple[Decision, str]:
            words = (
                f"{len(self.settings.budgets)} budgets, {self.settings.evaluations} evaluations and fine-tuning, about "
            )
            if self.settings.hours is not None:
                return {"seconds": self._left()}, f"{words}{duration(self._left())}"
            training = net.metadata["training"]
            return {"macs": ratio * training["macs"]}, f"{words}{duration(ratio * training['seconds'])}"

        compute = self.journal.stage("search", planned)
        front = grow_front(
            net,
            data,
            self._limits(),
            self._single(net, recipe),
            **compute,
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

    @staticmethod
    def _single(net: Supernet, recipe: Recipe) -> Recipe:
        """Return the recipe of one network: of a trained checkpoint at a tenth of the learning rate."""
        single = recipe.finetuning()
        return single if from_checkpoint(net) else single.replace(learning_rate=recipe.learning_rate)

    def _rivals(self, front: GrownFront, net: Supernet, data: Dataset, recipe: Recipe) -> list[FinetuneResult]:
        """Train the largest uniform ViT of each budget alone, for its part of the compute of everything."""
        if not self.settings.compare:
            return []
        each = (net.metadata["training"]["macs"] + front.macs) / len(self.settings.budgets)
        found = []
        for number, limits in enumerate(self._limits(), 1):
            uniform = largest_uniform(net.space, limits)
            lasting = for_compute(self._single(net, recipe), each, net.space.macs(uniform), len(data.train))
            lasting = lasting.replace(validate_every=lasting.epochs)
            folder = self.folder / _RIVALS / str(number)
            found.append(retrain(uniform, net.space, data, lasting, out=folder, resume=folder.is_dir(), **self.how))

        def trained() -> tuple[Decision, str]:
            metric = data.task.metrics[0]
            told = [metric.text(rival.figures["test"][metric.name]) for rival in found]
            return {}, f"uniform ViTs, each trained alone for {compact(each)} MACs: {', '.join(told)}"

        self.journal.stage("rivals", trained)
        return found

    def _keeps(self, architecture: Architecture, limits: Limits) -> bool:
        """Whether a whole network keeps its latency as measured."""
        most = float(limits["latency_ms"].high or 0) * self.scale
        return self._latency(architecture) <= most

    def _latency(self, architecture: Architecture) -> float:
        """Return the measured milliseconds of a whole network."""
        (timing,) = measure_deployed([architecture], geometry=self.space.geometry, **self._deployed)
        return timing.median_ms

    # Files

    def _models(self, front: GrownFront, rivals: Sequence[FinetuneResult], data: Dataset) -> Iterator[FittedModel]:
        """Export the network of each budget."""

        def chosen() -> tuple[Decision, str]:
            return {"format": self._format}, f"{self._format}, in {self.folder / _MODELS}"

        format = self.journal.stage("files", chosen)["format"]
        for number, (own, winner) in enumerate(zip(self.settings.budgets, front.winners, strict=True)):
            folder = self.folder / _MODELS / "-".join(f"{name}-{value:.10g}" for name, value in own.items())
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
                self._rival(rivals[number]) if rivals else None,
            )

    def _rival(self, rival: FinetuneResult) -> dict[str, Any]:
        architecture = rival.net.architecture
        return {
            "architecture": architecture.to_dict(),
            "costs": self.space.costs(architecture),
            "test": rival.figures["test"],
        }

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
