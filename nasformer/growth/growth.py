"""Growth: the search and the fine-tuning of one budget after another, in one supernet."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasformer._io import to_json, write_file
from nasformer._record import read_record
from nasformer.architecture import Architecture
from nasformer.cost import Bounds, Limits, format_limits
from nasformer.data import Dataset
from nasformer.data.dataset import Split
from nasformer.errors import BudgetError, FitnessError
from nasformer.fitness import Finetuning, InheritedFitness
from nasformer.growth.compute import Compute
from nasformer.growth.first import FirstThese
from nasformer.search import Evaluation, SearchResult
from nasformer.searcher import Searcher
from nasformer.space.scores import distance_scores
from nasformer.supernet import Supernet
from nasformer.training import FinetuneResult, Recipe, finetune, repair
from nasformer.training.compute import for_images
from nasformer.training.repair import repairs_by_default

_BATCH = 10
_CONFIRM = 0.1
_TRIED = 50
_STEP = "step.json"


@dataclass(frozen=True)
class GrownNetwork:
    """A network that was searched and fine-tuned.

    Attributes:
        limits: The bounds of its search: more than the budget before, at most its own.
        search: The search, with inherited weights.
        tuned: The fine-tuning.
        evaluation: What it reaches on the search images with the weights of the fine-tuning.
        macs: Multiply-accumulates of search and fine-tuning.
    """

    limits: Limits
    search: SearchResult
    tuned: FinetuneResult
    evaluation: Evaluation
    macs: float

    @property
    def architecture(self) -> Architecture:
        """Its architecture."""
        return self.tuned.net.architecture


@dataclass(frozen=True)
class SearchSettings:
    """How each budget is searched; attributes as arguments of ``grow_front``."""

    strategy: str
    evaluations: int
    images: Split
    objective: str | None
    racing: bool
    confirm: int
    keeps: Callable[[Architecture, Limits], bool] | None
    seed: int


class Growth:
    """The state between two budgets."""

    def __init__(
        self,
        net: Supernet,
        data: Dataset,
        recipe: Recipe,
        compute: Compute,
        search: SearchSettings,
        out: Path | None,
        options: dict[str, Any],
    ) -> None:
        self.net, self.data, self.recipe, self.compute, self.search = net, data, recipe, compute, search
        self.out, self.options = out, options
        self.grown: list[GrownNetwork] = []

    def step(self, upper: Limits, below: Limits, share: float) -> None:
        """Search between two budgets, and fine-tune the winner for a share of what is left of the compute."""
        limits = {name: Bounds(below[name].high if name in below else None, own.high) for name, own in upper.items()}
        folder = None if self.out is None else self.out / str(len(self.grown) + 1)
        kept = _read_step(folder)
        result = self._searched(limits, share, confirmed=kept is not None)
        winner = kept[0] if kept else self._winner(result, upper)
        confirming = _CONFIRM * share * self.compute.left if self.search.confirm > 1 else 0.0
        searched = kept[2] if kept else self.compute.of_search(result, len(self.search.images), confirming)
        recipe = kept[1] if kept else self._recipe(winner, share * self.compute.after(searched))
        if folder is not None and not kept:
            record = {"architecture": winner.to_dict(), "recipe": recipe.to_dict(), "searched": searched}
            folder.mkdir(parents=True, exist_ok=True)
            write_file(folder / _STEP, to_json(record, indent=1) + "\n")
        repairs = repairs_by_default(self.net, self.data)
        start = repair(self.net, winner, self.data) if repairs else self.net.extract(winner)
        tuned = finetune(start, self.data, recipe, out=folder, **self.options)
        self.net.absorb(tuned.net)
        (after,) = self._fitness().evaluate([winner])
        if after.value is None:
            raise FitnessError(f"{winner} cannot be evaluated: {after.error}", after)
        self.compute.left -= searched + self.compute.of_training(tuned)
        evaluated = sum(trial.costs["macs"] for trial in result.trials) * len(self.search.images)
        self.grown.append(GrownNetwork(limits, result, tuned, after, evaluated + (tuned.training.macs or 0)))

    def _fitness(self) -> InheritedFitness:
        data, how = self.data, {name: self.options[name] for name in ("device", "readers") if name in self.options}
        objective = self.search.objective or ("loss" if "loss" in data.task.objectives else None)
        return InheritedFitness(
            self.net,
            self.search.images,
            task=data.task,
            data=data.record,
            objective=objective,
            racing=self.search.racing,
            **how,
        )

    def _searched(self, limits: Limits, share: float, *, confirmed: bool) -> SearchResult:
        """Search, or replay a search whose winner is known and is not fine-tuned again."""
        space, search, near = self.net.space, self.search, list[Architecture]()
        if self.grown:
            scores = distance_scores(space.codec, self.grown[-1].architecture)
            near = space.feasible(**limits).best(scores, search.evaluations // 2)
        first = {"then": search.strategy, "first": [each.to_dict() for each in near]}
        return Searcher(space, FirstThese, self._fitness(), search.seed, **first).run(
            limits,
            evaluations=search.evaluations,
            batch_size=_BATCH,
            seconds=self.compute.seconds(share),
            rerank=self._reranker(limits, share) if search.confirm > 1 and not confirmed else None,
            storage=None if self.out is None else self.out / "study.log",
            study=str(len(self.grown) + 1),
            accept_drift=confirmed,  # of a finished search, only the record counts
            progress=False,
        )

    def _reranker(self, limits: Limits, share: float) -> Finetuning:
        """Return a fine-tuning of the best that takes a tenth of the share."""
        most = self.net.space.feasible(**limits).uniform() or self.net.space.feasible(**limits).sample(1)
        short = self._recipe(most[-1], _CONFIRM * share * self.compute.left / self.search.confirm)
        how = {name: self.options[name] for name in ("device", "readers") if name in self.options}
        return Finetuning(self.net, self.data, top=self.search.confirm, epochs=short.epochs, recipe=short, **how)

    def _recipe(self, architecture: Architecture, part: float) -> Recipe:
        """Return the recipe of a fine-tuning that takes a part of the compute."""
        images = part / self.compute.of_image(self.net, architecture, self.recipe, self.options)
        lasting = for_images(self.recipe, images, len(self.data.train))
        return lasting.replace(validate_every=lasting.epochs)

    def _winner(self, result: SearchResult, upper: Limits) -> Architecture:
        """Return the best network of a search that keeps its budget.

        Raises:
            BudgetError: None of the best does.
        """
        known = sorted((trial for trial in result.trials if trial.eligible), key=lambda trial: trial.rank)
        ranked = dict.fromkeys(trial.architecture for trial in (*result.confirmed, *known))
        tried = list(ranked)[:_TRIED]
        for architecture in tried:
            if self.search.keeps is None or self.search.keeps(architecture, upper):
                return architecture
        words = f"none of the best {len(tried)} networks keeps {format_limits(upper)} in fact; take a larger budget"
        raise BudgetError(words, upper)


def _read_step(folder: Path | None) -> tuple[Architecture, Recipe, float] | None:
    """Return winner, recipe and compute of the search, if a step was begun."""
    if folder is None or not (folder / _STEP).is_file():
        return None
    known = read_record(folder / _STEP)
    return Architecture.from_dict(known["architecture"]), Recipe(**known["recipe"]), float(known["searched"])
