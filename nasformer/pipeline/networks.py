"""Networks: the stages of ``fit`` from a trained supernet to exported files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nasformer._record import read_record
from nasformer.architecture import Architecture
from nasformer.cost import Limits
from nasformer.data import Dataset
from nasformer.export.description import FILE as RECORD
from nasformer.export.exporter import export
from nasformer.growth import GrownFront, grow_front
from nasformer.latency import measure_deployed
from nasformer.pipeline.context import RunContext
from nasformer.pipeline.journal import Decision
from nasformer.pipeline.preparation import SUPERNET_SHARE
from nasformer.pipeline.result import FittedModel
from nasformer.report.notation import budget, compact, counted
from nasformer.search.progress import duration
from nasformer.supernet import Supernet
from nasformer.training import FinetuneResult, Recipe, retrain
from nasformer.training.compute import for_compute
from nasformer.training.teacher import from_checkpoint

_CONFIRMED = 3
_NETWORKS, _RIVALS, _MODELS = "networks", "rivals", "models"


class Networks:
    """The stages from a trained supernet on, in the order of the methods.

    Args:
        run: The run.
        net: The trained supernet.
        data: Its dataset.
        recipe: Its recipe.
    """

    def __init__(self, run: RunContext, net: Supernet, data: Dataset, recipe: Recipe) -> None:
        self.run, self.net, self.space, self.data, self.recipe = run, net, net.space, data, recipe

    def grow(self) -> GrownFront:
        """Search and fine-tune the network of each budget."""
        ratio = (1 - SUPERNET_SHARE) / SUPERNET_SHARE

        def planned() -> tuple[Decision, str]:
            asked = self.run.settings
            words = f"{counted(len(asked.budgets), 'budget')}, {asked.evaluations} evaluations and fine-tuning, about "
            if self.run.settings.hours is not None:
                return {"seconds": self.run.left()}, f"{words}{duration(self.run.left())}"
            training = self.net.metadata["training"]
            return {"macs": ratio * training["macs"]}, f"{words}{duration(ratio * training['seconds'])}"

        compute = self.run.journal.stage("search", planned)
        front = grow_front(
            self.net,
            self.data,
            self.run.limits(),
            self._single(),
            **compute,
            evaluations=self.run.settings.evaluations,
            strategy=self.run.settings.strategy,
            racing=True,
            confirm=_CONFIRMED,
            keeps=self._keeps if "latency_ms" in self.net.space.known_costs else None,
            seed=self.run.settings.seed,
            out=self.run.folder / _NETWORKS,
            resume=True,
            **self.run.how,
        )

        def found() -> tuple[Decision, str]:
            metric = self.data.task.metrics[0]
            names = [budget(self.space.feasible(**each).limits) for each in self.run.settings.budgets]
            told = [metric.text(each.tuned.figures["test"][metric.name]) for each in front.winners]
            words = "; ".join(f"{name}: {text}" for name, text in zip(names, told, strict=True))
            largest = max(self.space.feasible(**each).bounds("macs")[1] for each in self.run.limits())
            short = f" (this compute trains networks of up to {compact(front.most)} MACs well)"
            return {}, words + (short if front.most < largest else "")

        self.run.journal.stage("networks", found)
        return front

    def _single(self) -> Recipe:
        """Return the recipe of one network: of a trained checkpoint at a tenth of the learning rate."""
        single = self.recipe.finetuning()
        return single if from_checkpoint(self.net) else single.replace(learning_rate=self.recipe.learning_rate)

    def rivals(self, front: GrownFront) -> list[FinetuneResult]:
        """Train the largest uniform ViT of each budget alone, for its part of the compute of everything."""
        if not self.run.settings.compare:
            return []
        each = (self.net.metadata["training"]["macs"] + front.macs) / len(self.run.settings.budgets)
        found = []
        for number, limits in enumerate(self.run.limits(), 1):
            uniform = self.net.space.feasible(**limits).largest_uniform()
            timed = for_compute(self._single(), each, self.net.space.macs(uniform), len(self.data.train))
            timed = timed.replace(validate_every=timed.epochs)
            folder = self.run.folder / _RIVALS / str(number)
            found.append(
                retrain(uniform, self.net.space, self.data, timed, out=folder, resume=folder.is_dir(), **self.run.how)
            )

        def trained() -> tuple[Decision, str]:
            metric = self.data.task.metrics[0]
            told = [metric.text(rival.figures["test"][metric.name]) for rival in found]
            return {}, f"uniform ViTs, each trained alone for {compact(each)} MACs: {', '.join(told)}"

        self.run.journal.stage("rivals", trained)
        return found

    def _keeps(self, architecture: Architecture, limits: Limits) -> bool:
        """Whether a whole network keeps its latency as measured."""
        most = float(limits["latency_ms"].high or 0) * self.run.scale
        return self._latency(architecture) <= most

    def _latency(self, architecture: Architecture) -> float:
        """Return the measured milliseconds of a whole network."""
        (timing,) = measure_deployed([architecture], geometry=self.space.geometry, **self.run.deployed)
        return timing.median_ms

    def models(self, front: GrownFront, rivals: Sequence[FinetuneResult]) -> Iterator[FittedModel]:
        """Export the network of each budget."""

        def chosen() -> tuple[Decision, str]:
            return {"format": self.run.format}, f"{self.run.format}, in {self.run.folder / _MODELS}"

        format = self.run.journal.stage("files", chosen)["format"]
        for number, (own, winner) in enumerate(zip(self.run.settings.budgets, front.winners, strict=True)):
            folder = self.run.folder / _MODELS / "-".join(f"{name}-{value:.10g}" for name, value in own.items())
            if not folder.is_dir():
                export(winner.tuned.net, self.data, folder, format=format, provenance={"budget": dict(own)})
            record = read_record(folder / RECORD)
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
