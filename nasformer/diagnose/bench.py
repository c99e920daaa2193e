"""Bench: the diagnosed supernet, its dataset, and the folder of results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Subset

from nasformer._io import digest
from nasformer.architecture import Architecture
from nasformer.cost import as_limits, format_limits
from nasformer.data.batches import Readers
from nasformer.data.dataset import Dataset, Split
from nasformer.data.memory import ImagesInMemory
from nasformer.diagnose.plan import Plan
from nasformer.errors import DiagnosisError, FitnessError
from nasformer.fitness import InheritedFitness
from nasformer.fitness.outcome import Outcome
from nasformer.fitness.prefix_tree import in_tree_order
from nasformer.search import Evaluation
from nasformer.space import FeasibleSet
from nasformer.supernet import Supernet
from nasformer.tasks import Metric

BAND = 0.1
"""Half the width of the band around the middle budget, as a share of it."""

_BLOCK = 64
"""Architectures per seeded block: longer samples extend shorter ones."""

_TRIES = 64
"""Samples per requested architecture, before the budget is reported to allow too few."""


@dataclass(frozen=True)
class Bench:
    """The diagnosed supernet with its context; picklable, for worker processes."""

    net: Supernet
    data: Dataset  # its training dataset, with the same splits
    plan: Plan
    folder: Path  # of all results
    device: str = "auto"
    readers: Readers = 0

    def __getstate__(self) -> dict[str, Any]:
        """Return the constructor arguments only: cached values are recomputed in another process."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @cached_property
    def feasible(self) -> FeasibleSet:
        """The feasible set of the middle budget."""
        return self.net.space.feasible(**self.plan.middle)

    @cached_property
    def bands(self) -> list[FeasibleSet]:
        """The feasible sets between the budgets, ascending: of the first from half of it on."""
        uppers = [self.most(budget) for budget in self.plan.budgets]
        lowers = [{name: most / 2 for name, most in uppers[0].items()}, *uppers] if uppers else []
        parts = [
            self.net.space.feasible(**{name: (low.get(name), most) for name, most in high.items()})
            for low, high in zip(lowers, uppers, strict=False)
        ]
        return parts or [self.feasible]

    @cached_property
    def band(self) -> FeasibleSet:
        """The architectures within ``BAND`` of the middle budget."""
        most = self.most(self.plan.middle)
        return self.net.space.feasible(**{name: ((1 - BAND) * end, (1 + BAND) * end) for name, end in most.items()})

    def most(self, budget: Mapping[str, Any]) -> dict[str, float]:
        """Return the upper bounds of a budget.

        Raises:
            DiagnosisError: It has none.
        """
        limits = as_limits(dict(budget), self.net.space.known_costs)
        found = {name: ends.high for name, ends in limits.items() if ends.high is not None}
        if budget and not found:
            raise DiagnosisError(f"the budget {format_limits(limits)} has no upper bound; give one", budget)
        return found

    @property
    def training(self) -> Mapping[str, Any]:
        """The record of the supernet's training.

        Raises:
            DiagnosisError: It does not say how much it computed.
        """
        record: Mapping[str, Any] = self.net.metadata.get("training", {})
        if not record.get("macs"):
            raise DiagnosisError("the supernet does not say how much its training computed; train it with this version")
        return record

    @cached_property
    def weights(self) -> str:
        """Hash of the supernet's weights."""
        return self.fitness(self.data.search).fingerprint

    @cached_property
    def identity(self) -> str:
        """Hash of everything that results depend on: weights, images, budgets and the space's constraints."""
        own = format_limits(self.net.space.constraints)
        return digest([self.weights, self.images, [dict(each) for each in self.plan.budgets], *([own] if own else [])])

    @property
    def images(self) -> list[Any]:
        """Identity of the dataset: splits and normalisation."""
        return [self.data.record.get(key) for key in ("fingerprint", "mean", "std")]

    def sample(self, count: int, name: str, feasible: FeasibleSet | None = None) -> list[Architecture]:
        """Return distinct architectures under the paper's prior, seeded by name; fewer if the set is too small."""
        drawn: dict[Architecture, None] = {}
        for block in range(1 + _TRIES * count // _BLOCK):
            if len(drawn) >= count:
                break
            seed = int(digest([self.plan.seed, name, block]), 16) % 2**31
            drawn |= dict.fromkeys((feasible or self.feasible).sample(_BLOCK, seed=seed))
        return list(drawn)[:count]

    def spread(self, count: int, name: str) -> list[Architecture]:
        """Return distinct architectures over the whole range of the budgets, equally many between two of them."""
        parts = [self.sample(-(-count // len(self.bands)), f"{name} {n}", own) for n, own in enumerate(self.bands)]
        mixed = dict.fromkeys(each for row in zip_longest(*parts) for each in row if each is not None)
        return list(mixed)[:count]

    @property
    def metric(self) -> Metric:
        """The task's default objective; values are as a fitness: negated, unless higher is better."""
        return self.data.task.objective()

    @property
    def ranking(self) -> str | None:
        """The objective that ranks in searches: the loss, which needs fewer images, where the task has it."""
        return "loss" if "loss" in self.data.task.objectives else None

    def fitness(self, split: Split, objective: str | None = None) -> InheritedFitness:
        """Return the fitness on a split with the weights of the diagnosed supernet."""
        options: dict[str, Any] = {"device": self.device, "task": self.data.task, "data": self.data.record}
        options |= {"objective": objective, "decoded": False, "readers": self.readers}
        return InheritedFitness(self.net, split, **options)

    def value(self, scores: Mapping[str, float]) -> float:
        """Return the value of a network trained alone, from its test metrics by name."""
        return self.metric.sign * scores[self.metric.name]

    def judged(self, architectures: Sequence[Architecture], split: Split) -> list[Evaluation]:
        """Return the evaluations with inherited weights.

        Raises:
            FitnessError: An evaluation failed.
        """
        found = {each.architecture: each for each in self.fitness(split).evaluate(list(architectures))}
        for each in found.values():
            if each.value is None:
                raise FitnessError(f"{each.architecture} cannot be evaluated: {each.error}", each)
        return [found[architecture] for architecture in architectures]

    def outcomes(self, architectures: Sequence[Architecture]) -> list[Outcome]:
        """Return the per-image outcomes of each architecture on the search split.

        Raises:
            FitnessError: An evaluation failed.
        """
        tree = in_tree_order(list(architectures))
        found = self.fitness(self.data.search).outcomes(tree, 0, len(self.data.search))
        told = []
        for architecture in architectures:
            outcome = found[architecture]
            if isinstance(outcome, Exception):
                raise FitnessError(f"{architecture} cannot be evaluated: {outcome}", architecture) from outcome
            told.append(outcome)
        return told

    @property
    def epochs(self) -> float | None:
        """Passes of the supernet's training over the train images; None if unknown."""
        recipe = self.net.metadata.get("training", {}).get("recipe", {})
        part = min(1.0, (recipe.get("epoch_images") or len(self.data.train)) / len(self.data.train))
        return recipe["epochs"] * part if recipe else None

    @property
    def searched(self) -> Split:
        """The search images of an evaluation."""
        return some(self.data.search, self.plan.search_images)


def some(split: Split, count: int) -> Split:
    """Return a subset of a split: the first images; of image files, sorted by class, evenly spaced ones."""
    if count >= len(split):
        return split
    if isinstance(split, ImagesInMemory):
        return ImagesInMemory(split.images[:count], split.labels[:count])
    spaced = [int(place) for place in np.linspace(0, len(split) - 1, count).round()]
    return Subset(split, spaced)  # type: ignore[arg-type]  # a Split is all that it needs
