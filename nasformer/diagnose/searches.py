"""Searches of a diagnosis with inherited weights, by loss on some of the search images, and their fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasformer._io import digest
from nasformer.architecture import Architecture
from nasformer.diagnose.bench import Bench
from nasformer.diagnose.jobs import JobResult
from nasformer.diagnose.rivals import finetuning_parts
from nasformer.diagnose.trainings import changed, options, passes, reseeded
from nasformer.errors import DiagnosisError
from nasformer.search import SearchResult
from nasformer.searcher import Searcher
from nasformer.space.scores import distance_scores
from nasformer.training import finetune
from nasformer.training.compute import for_compute

STRATEGY = "thompson"
_BATCH = 10


@dataclass(frozen=True)
class Front:
    """The winners of all budgets, searched and fine-tuned in ascending order, each from what the smaller have learnt.

    A winner takes more than the budget before. Its weights go back into a copy of the supernet, with which the next
    budget is searched: half of the evaluations are of the nearest larger networks, which have most of what it learnt.

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
        how = [bench.weights_of(self.file), bench.identity, size, changed(self.recipe), self.macs]
        return f"front-{self.seed}-{digest(how)}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Search and fine-tune, and return the figures of each winner.

        Raises:
            DiagnosisError: The searches take all the compute.
        """
        space, data, shared = bench.net.space, bench.data, deepcopy(bench.supernet(self.file))
        budgets = bench.plan.budgets
        each = -(-bench.plan.evaluations // len(budgets))
        parts, left, images = finetuning_parts(space, budgets), self.macs, len(bench.searched)
        rows, seconds, grown, below = [], 0.0, list[Architecture](), dict[str, float]()
        for place, budget in enumerate(budgets):
            limits = {name: (below.get(name), most) for name, most in bench.most(budget).items()}
            fitness = bench.fitness(bench.searched, shared, bench.ranking)
            near = list[Architecture]()
            if grown:
                near = space.feasible(**limits).best(distance_scores(space.codec, grown[-1]), each // 2)
            result = Searcher(space, STRATEGY, fitness, self.seed).run(
                limits,
                evaluations=each - len(near),
                batch_size=_BATCH,
                storage=folder / "study.log",
                study=str(place),
                progress=False,
            )
            told = list(fitness.evaluate([result.best.architecture, *near]))
            winner = max(told, key=lambda evaluation: evaluation.value or float("-inf")).architecture
            seen = {trial.architecture for trial in result.trials} | set(near)
            left -= sum(map(space.macs, seen)) * images
            if left <= 0:
                raise DiagnosisError("the searches take all the compute of the fine-tuning; take more --share", left)
            (inherited,) = bench.judged([winner], data.test, shared)
            part = parts[place] / sum(parts[place:])
            recipe = for_compute(reseeded(self.recipe, self.seed), part * left, space.macs(winner), len(data.train))
            recipe = recipe.replace(validate_every=recipe.epochs)
            tuned = finetune(shared.extract(winner), data, recipe, **options(bench, folder / str(place)))
            shared.absorb(tuned.net)
            grown.append(winner)
            below = bench.most(budget)
            left -= tuned.training.macs or 0
            seconds += _seconds(result) + tuned.training.seconds
            rows.append(
                {
                    "architecture": winner.to_dict(),
                    "inherited": inherited.value,
                    **{name: tuned.figures["test"][name] for name in data.task.objectives},
                    "macs": tuned.training.macs,
                    "epochs": passes(tuned.training, bench),
                }
            )
        return {"winners": rows, "macs": self.macs - left, "seconds": seconds}


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
