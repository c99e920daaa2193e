"""Searches of a diagnosis with inherited weights, by loss on some of the search images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nasformer._io import digest
from nasformer.diagnose.bench import Bench
from nasformer.diagnose.jobs import JobResult
from nasformer.search import SearchResult
from nasformer.searcher import Searcher

STRATEGY = "thompson"
_BATCH = 10


@dataclass(frozen=True)
class FrontSearch:
    """One search for the winners of all budgets.

    Attributes:
        seed: Seed of the search.
        file: Weights in the diagnosis's folder; "": the diagnosed supernet.
    """

    seed: int
    file: str = ""

    def name(self, bench: Bench) -> str:
        """Return its file name."""
        size = bench.plan.identity("evaluations", "search_images", "budgets")
        return f"front-{self.seed}-{digest([bench.weights_of(self.file), bench.identity, size])}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Search, and return the winner of each budget and the compute of the evaluations."""
        fitness = bench.fitness(bench.searched, bench.supernet(self.file), bench.ranking)
        searcher = Searcher(bench.net.space, STRATEGY, fitness, self.seed)
        result = searcher.run(
            budgets=[dict(budget) for budget in bench.plan.budgets],
            evaluations=bench.plan.evaluations,
            batch_size=_BATCH,
            storage=folder / "study.log",
            study="front",
            progress=False,
        )
        return {
            "winners": [winner.architecture.to_dict() for winner in result.winners],
            "macs": sum(trial.costs["macs"] for trial in result.trials) * len(bench.searched),
            "seconds": _seconds(result),
        }


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
