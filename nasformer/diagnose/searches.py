"""Searches of a diagnosis with inherited weights, by loss on some of the search images, and their fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasformer._io import digest
from nasformer.diagnose.bench import Bench
from nasformer.diagnose.jobs import JobResult
from nasformer.diagnose.trainings import changed, options, passes, reseeded
from nasformer.growth import grow_front
from nasformer.growth.affordable import default_epochs
from nasformer.search import SearchResult
from nasformer.searcher import Searcher

STRATEGY = "thompson"
_BATCH = 10


@dataclass(frozen=True)
class Front:
    """The winners of all budgets, grown from one supernet (``grow_front``).

    Attributes:
        recipe: Recipe of the fine-tuning.
        macs: Compute of searches and fine-tuning together.
        seed: Seed of searches and fine-tuning.
        file: Weights in the diagnosis's folder; "": the diagnosed supernet.
    """

    recipe: Mapping[str, Any]
    macs: float
    seed: int
    file: str = ""

    def name(self, bench: Bench) -> str:
        """Return its file name."""
        size = bench.plan.identity("evaluations", "search_images", "budgets")
        weights = self.file or bench.weights  # the name of a file is a hash too
        how = [weights, bench.identity, size, changed(self.recipe), self.macs, default_epochs(len(bench.data.train))]
        return f"front-{self.seed}-{digest(how)}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Search and fine-tune, and return the figures of each winner."""
        task = bench.data.task
        front = grow_front(
            bench.supernet(self.file),
            bench.data,
            bench.plan.budgets,
            reseeded(self.recipe, self.seed),
            macs=self.macs,
            evaluations=bench.plan.evaluations,
            images=bench.searched,
            objective=bench.ranking,
            strategy=STRATEGY,
            seed=self.seed,
            **options(bench, folder),
        )
        rows = [
            {
                "architecture": winner.architecture.to_dict(),
                "inherited": task.objective().sign * winner.tuned.figures["before"][task.objective().name],
                **{name: winner.tuned.figures["test"][name] for name in task.objectives},
                "macs": winner.tuned.training.macs,
                "epochs": passes(winner.tuned.training, bench),
            }
            for winner in front.winners
        ]
        seconds = sum(_seconds(each.search) + each.tuned.training.seconds for each in front.grown)
        return {"winners": rows, "macs": front.macs, "seconds": seconds}


@dataclass(frozen=True)
class SearchCurve:
    """A search under the middle budget, and the incumbent's value by evaluation.

    Attributes:
        strategy: Name of the strategy.
        evaluations: Number of evaluations.
        seed: Seed.
    """

    strategy: str
    evaluations: int
    seed: int

    def name(self, bench: Bench) -> str:
        """Return its file name."""
        size = [self.evaluations, bench.plan.identity("search_images", "budgets")]
        return f"{self.strategy}-{self.seed}-{digest([bench.identity, size])}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Search, and return the curve."""
        result = Searcher(
            bench.net.space, self.strategy, bench.fitness(bench.searched, objective=bench.ranking), self.seed
        ).run(
            dict(bench.plan.middle) or None,
            evaluations=self.evaluations,
            batch_size=_BATCH,
            storage=folder / "study.log",
            study=self.strategy,
            progress=False,
        )
        told = [trial.value for trial in result.trials if trial.value is not None and not trial.probe]
        best = [max(told[: count + 1]) for count in range(len(told))]
        return {"architecture": result.best.architecture.to_dict(), "curve": best, "seconds": _seconds(result)}


def _seconds(result: SearchResult) -> float:
    return sum(trial.seconds for trial in result.trials)
