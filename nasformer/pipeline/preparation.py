"""Preparation: the stages of ``fit`` up to a trained supernet."""

from __future__ import annotations

import math
from functools import cached_property
from statistics import median

from nasformer.cost import LatencyTable
from nasformer.data import Dataset, load_dataset, resizable
from nasformer.data.data_config import CROP
from nasformer.data.examine import examine, examined
from nasformer.growth.affordable import affordable_macs, default_epochs
from nasformer.growth.compute import SecondsCompute
from nasformer.latency import measure_blocks, measure_deployed
from nasformer.latency.memory import BYTES, memory_cost
from nasformer.pipeline.context import RunContext
from nasformer.pipeline.journal import Decision
from nasformer.pipeline.space import space_for
from nasformer.report.notation import compact
from nasformer.search.progress import duration
from nasformer.space import SearchSpace, load_space, space_names
from nasformer.supernet import Supernet
from nasformer.supernet.checkpoint import read_checkpoint
from nasformer.supernet.family import Checkpoint
from nasformer.supernet.from_timm import load_timm, read_timm
from nasformer.supernet.from_transformers import read_transformers
from nasformer.training import Recipe, default_recipe, train_supernet
from nasformer.training.compute import for_images
from nasformer.training.defaults import family_recipe
from nasformer.training.family import family_of
from nasformer.training.opening import open_dataset
from nasformer.training.pace import seconds_per_image
from nasformer.training.supernet import FILE as WEIGHTS
from nasformer.training.teacher import from_checkpoint

SUPERNET_SHARE = 0.25
"""Share of the compute that trains the supernet; searches and fine-tunings have the rest."""

_IMAGE_SIZE = 64
_CHECKED = 8
_SPACE, _RECIPE, _TABLE, _FAMILY = "space.yaml", "recipe.yaml", "latency.json", "family.safetensors"


class Preparation:
    """The stages up to a trained supernet, in the order of the methods.

    Args:
        run: The run.
    """

    def __init__(self, run: RunContext) -> None:
        self.run = run

    def data(self) -> Dataset:
        """Return the dataset, with the splits of the supernet's training if there is one."""
        given, trained = self.run.settings, self.run.folder / "supernet" / WEIGHTS
        size = self.run.journal.stage("size", self._image_size)["pixels"] if resizable(given.data) else None
        if trained.is_file():
            known = read_checkpoint(trained, "supernet")[0]["metadata"]
            record, held_out = known.get("training", {}).get("data", {}), known.get("held_out")
            data = open_dataset(given.data, record, trained, held_out=held_out, seed=given.seed, image_size=size)
        else:
            known = (source.source.get("preprocessing") or {}) if (source := self._checkpoint) else {}
            steps = {"crop_pct": CROP, **known} if known else None
            data = load_dataset(given.data, seed=given.seed, image_size=size, preprocessing=steps)
        data = examined(data, progress=self.run.how["progress"])

        def looked() -> tuple[Decision, str]:
            sizes = ", ".join(f"{len(split):,} {name}" for name, split in data.splits.items())
            return {}, f"{data.name}: {sizes} {data.task.examples}; {data.task.name}, {data.num_classes} outputs"

        self.run.journal.stage("data", looked)
        return data

    def _image_size(self) -> tuple[Decision, str]:
        """Decide the resolution of images from files."""
        if self.run.settings.image_size is not None:
            return {"pixels": self.run.settings.image_size}, f"{self.run.settings.image_size} pixels, as asked"
        if self._checkpoint is not None:
            pixels = self._checkpoint.geometry.image_size
            return {"pixels": pixels}, f"{pixels} pixels, as the model"
        found = examine(
            load_dataset(self.run.settings.data, seed=self.run.settings.seed), progress=self.run.how["progress"]
        )
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
        given = self.run.settings
        if given.transformers is not None:
            return read_transformers(given.transformers).at(given.image_size)
        if given.timm is None:
            return None
        return read_timm(load_timm(given.timm, given.weights, **given.timm_options)).at(given.image_size)

    def net(self, data: Dataset) -> Supernet:
        """Return the supernet before its training, or after it."""
        trained, family = self.run.folder / "supernet" / WEIGHTS, self.run.folder / _FAMILY
        file = next((each for each in (trained, family) if each.is_file()), None)
        if file is not None:
            net = Supernet.load(file)
        elif self._checkpoint is not None:
            net, _ = family_of(self._checkpoint, data, self.run.settings.space, seed=self.run.settings.seed)
            net.save(family)
        else:
            net = Supernet(self._space(data), seed=self.run.settings.seed)

        def made() -> tuple[Decision, str]:
            space = net.space
            space.save(self.run.folder / _SPACE)
            words = f"{space.size():.2g} architectures of {compact(space.macs(space.smallest))} to "
            return {}, f"{words}{compact(space.macs(space.largest))} MACs{self._reason()}"

        self.run.journal.stage("space", made)
        return net

    def _reason(self) -> str:
        if self.run.settings.space is not None:
            return f": {self.run.settings.space}"
        return ", the largest is the model" if self._checkpoint is not None else ", for these images and budgets"

    def _space(self, data: Dataset) -> SearchSpace:
        """Return the space of networks that are trained from scratch."""
        if (self.run.folder / _SPACE).is_file():
            return load_space(self.run.folder / _SPACE)
        if self.run.settings.space is not None:
            shape = {"image_size": data.image_size, "in_channels": data.in_channels, "num_classes": data.num_classes}
            found = load_space(self.run.settings.space)
            return found.for_data(**shape) if self.run.settings.space in space_names() else found
        bounds = [dict(each) for each in self.run.settings.budgets]
        most = {name: max(each[name] for each in bounds) for name in bounds[0]}
        if (latency := most.pop("latency_ms", None)) is not None:
            some = space_for(data, {}, data.name)
            (timing,) = measure_deployed([some.largest], geometry=some.geometry, **self.run.deployed)
            most["macs"] = some.macs(some.largest) * latency / timing.median_ms
        if (memory := most.pop("memory", None)) is not None:
            most["params"] = min(most.get("params", math.inf), memory / BYTES["fp32"])
        return space_for(data, most, self.run.folder.name)

    def measured(self, net: Supernet) -> Supernet:
        """Return the supernet in a space with the measured costs that budgets bound."""
        bounded = self.run.settings.budgets[0]
        if "memory" in bounded:
            net.space = net.space.with_cost(memory_cost(net.space))
        if "latency_ms" not in bounded:
            return net
        path = self.run.folder / _TABLE

        def measured() -> tuple[Decision, str]:
            table, found = measure_blocks(net.space, networks=_CHECKED, max_spread=math.inf, **self.run.deployed)
            table.save(path)
            scale = median(m / p for m, p in zip(found.measured, found.predicted, strict=True))
            words = f"{table.runtime} on {table.device}: whole networks take {scale:.2f} times the sum of their blocks"
            error, spread = f"{100 * found.median_error:.0f} %", f"{100 * (table.spread or 0):.0f} %"
            return {"scale": scale}, f"{words}; median error {error}, widest spread of a block {spread}"

        self.run.scale = float(self.run.journal.stage("latency", measured)["scale"])
        net.space = net.space.with_cost(LatencyTable.load(path).cost())
        return net

    def _span(self, net: Supernet, data: Dataset, recipe: Recipe) -> list[float]:
        """Return the MACs of the subnets to train: from half the smallest budget to what can be afforded."""
        limits = [net.space.feasible(**each).limits for each in self.run.limits()]
        highs = sorted(net.space.feasible(**each).bounds("macs")[1] for each in limits)
        most = highs[-1]
        if self.run.settings.hours is not None:
            compute = SecondsCompute(data, (1 - SUPERNET_SHARE) * self.run.left())
            largest = max(limits, key=lambda each: net.space.feasible(**each).bounds("macs")[1])
            epochs = default_epochs(len(data.train))
            most = affordable_macs(net, largest, compute, epochs, recipe.finetuning(), self.run.how)
        return [min(highs[0], most) / 2, most]

    def train(self, net: Supernet, data: Dataset) -> Recipe:
        """Train the supernet, and return the recipe."""

        def planned() -> tuple[Decision, str]:
            family = from_checkpoint(net)
            recipe = (family_recipe if family else default_recipe)(data, self.run.how["device"])
            if not family:
                recipe = recipe.replace(sampling="bins", budget={"macs": self._span(net, data, recipe)})
            pace = seconds_per_image(train_supernet, net, data, recipe, **self.run.how)
            if self.run.settings.epochs is not None:
                recipe = recipe.replace(epochs=self.run.settings.epochs)
            images = float(recipe.epochs * len(data.train))
            if self.run.settings.hours is not None:
                images = min(images, SUPERNET_SHARE * self.run.left() / pace)
                recipe = for_images(recipe, images, len(data.train))
            recipe.save(self.run.folder / _RECIPE)
            decision = {"recipe": recipe.to_dict(), "seconds": images * pace}
            words = f"{recipe.epochs} epochs of {recipe.epoch_images or len(data.train):,} images, "
            return decision, f"{words}about {duration(images * pace)}"

        plan = self.run.journal.stage("training", planned)
        recipe, folder = Recipe(**plan["recipe"]), self.run.folder / "supernet"
        if not (folder / WEIGHTS).is_file():
            train_supernet(net, data, recipe, out=folder, resume=folder.is_dir(), keep=False, **self.run.how)

        def trained() -> tuple[Decision, str]:
            scores = net.metadata["training"]["validation"]
            metric = data.task.metrics[0]
            return {}, ", ".join(f"{name} {metric.text(each[metric.name])}" for name, each in scores.items())

        self.run.journal.stage("supernet", trained)
        return recipe
