"""ComparisonTask: a declared task with space, feasible set and fitness."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from nasformer._io import digest
from nasformer.compare.comparison import VALUE, Judge, TaskRecord
from nasformer.compare.experiment import TaskDeclaration
from nasformer.cost import LatencyTable
from nasformer.fitness import CachedFitness, NoisyFitness, TableFitness
from nasformer.fitness.regression import additivity
from nasformer.registry import default_fitness, make_fitness, measured_metric
from nasformer.search import Fitness
from nasformer.search.evaluation import describe_fitness
from nasformer.search.known import optimum, test_value, true_value
from nasformer.searcher import Searcher
from nasformer.space import EnumeratedSet, FeasibleSet, SearchSpace, load_space
from nasformer.tasks import Metric

_SLOW = ("inherited", "training-free")
_MOST, _FEWEST = 1000, 50
"""Architectures from which a task's additivity is estimated."""


@dataclass(frozen=True)
class ComparisonTask:
    """The state shared by all runs of a task."""

    declared: TaskDeclaration
    space: SearchSpace
    fitness: Fitness  # without noise
    feasible: FeasibleSet

    @classmethod
    def open(cls, declared: TaskDeclaration, cache: Path | None = None) -> ComparisonTask:
        """Open a declared task, with a cache of slow evaluations shared by runs in a folder, if given.

        Raises:
            NasformerError: Space, fitness or budget are invalid.
        """
        space = load_space(declared.space)
        if declared.latency_table:
            space = space.with_cost(LatencyTable.load(declared.latency_table).cost())
        fitness = _fitness(declared, space)
        if cache is not None and describe_fitness(fitness)["kind"] in _SLOW and not getattr(fitness, "joint", False):
            fitness = CachedFitness(fitness, cache / f"{digest(describe_fitness(fitness))}.sqlite")
        return cls(declared, space, fitness, Searcher(space, "random", fitness).feasible(declared.budget, fitness))

    def judge(self, seed: int) -> Fitness:
        """Return the fitness of a run; noise depends on the seed, not on the strategy."""
        return NoisyFitness(self.fitness, self.noise, seed) if self.noise else self.fitness

    @property
    def noise(self) -> float:
        """Standard deviation of the noise: the declared one, else that of a table's repeated rows."""
        declared = self.declared.noise
        return float(getattr(self.fitness, "spread", 0.0)) if declared is None else declared

    @cached_property
    def truth(self) -> Judge | None:
        """The value without noise, if available at no cost."""
        return partial(true_value, self.fitness) if hasattr(self.fitness, "true_value") else None

    @cached_property
    def test(self) -> Judge | None:
        """The value on held-out test examples or rows, if any."""
        if hasattr(self.fitness, "test_value"):
            return partial(test_value, self.fitness)
        return self._on_test_split() if self._description["kind"] == "inherited" else None

    def _on_test_split(self) -> Judge:
        from nasformer.fitness import InheritedFitness
        from nasformer.training import evaluate
        from nasformer.training.opening import open_supernet

        net, data = open_supernet(self.space, **_weights(self.declared))
        task, metric = data.task, data.task.ranking(self._description.get("objective"))
        if metric == task.divergence_metric:
            test = InheritedFitness(net, data.test, task=task, objective=metric.name, decoded=False)
            return lambda each: next(test.evaluate([each])).value
        return lambda each: metric.sign * evaluate(net, data.test, each, task=task)[metric.name]

    @cached_property
    def _description(self) -> dict[str, Any]:
        return describe_fitness(self.fitness)

    @cached_property
    def identity(self) -> str:
        """A hash of everything that results on this task depend on, except strategy and seed."""
        limits = {name: list(bounds) for name, bounds in self.feasible.limits.items()}
        return digest([self.space.to_dict(), limits, self._description, self.noise])

    @cached_property
    def additivity(self) -> Mapping[str, float] | None:
        """R² of an additive model and of boosted trees on up to 1,000 architectures within the budget, if free."""
        if self.truth is None or not hasattr(self.fitness, "optimum"):
            return None
        if self._description["kind"] == "surrogate" and "model" not in self._description:
            return {"additive": 1.0, "trees": 1.0}
        codes = (
            self.feasible.codes(2**63)
            if isinstance(self.feasible, EnumeratedSet)
            else self.feasible.sample_codes(_MOST)
        )
        drawn = np.random.default_rng(0).permutation(np.unique(codes, axis=0))[:_MOST]
        values = {each: self.truth(each) for each in self.space.decode(drawn)}
        rows = {each: value for each, value in values.items() if value is not None}
        return additivity(rows) if len(rows) >= _FEWEST else None

    @cached_property
    def optimum(self) -> float | None:
        """The highest value without noise within the budget, if known."""
        return optimum(self.fitness, self.feasible)

    @property
    def _source(self) -> str:
        """A hash of what values are read from."""
        known = {key: value for key, value in self._description.items() if key in ("weights", "sha256", "proxy")}
        if isinstance(self.fitness, TableFitness):  # whose hash is that of one column
            known = {"file": str(self.fitness.path.absolute())}
        return digest([self.space.fingerprint, known or self.declared.name])

    def record(self, evaluations: int) -> TaskRecord:
        """Return the task's record for reports."""
        return TaskRecord(
            name=self.declared.name,
            space=self.space,
            limits=self.feasible.limits,
            fitness=self._description,
            evaluations=evaluations,
            optimum=self.optimum,
            metric=_metric(self._description, self.declared.in_percent, self.optimum),
            noise=self.noise,
            feasible=self.feasible.count() if self.feasible.countable else 0,
            target=self.declared.target,
            tested=self.test is not None,
            held_out=self.declared.held_out,
            source=self._source,
            additivity=self.additivity,
        )


def _metric(fitness: Mapping[str, Any], in_percent: bool | None, optimum: float | None) -> Metric:
    metric = measured_metric(fitness)
    if metric is not None and in_percent in (None, metric.unit == "%"):
        return metric
    top1 = (fitness["kind"], fitness.get("column")) == ("table", "top1") and (optimum or 0) >= 0
    return replace(VALUE, unit="%", digits=2) if (top1 if in_percent is None else in_percent) else VALUE


@lru_cache(maxsize=16)
def _opened(text: str, cache: Path | None) -> ComparisonTask:
    return ComparisonTask.open(TaskDeclaration(**json.loads(text)), cache)


def opened(declared: TaskDeclaration, cache: Path | None = None) -> ComparisonTask:
    """Return the task, opened once in a process; arguments as of ``ComparisonTask.open``."""
    return _opened(json.dumps(declared.model_dump(mode="json")), cache)


def _fitness(declared: TaskDeclaration, space: SearchSpace) -> Fitness:
    options = {**_weights(declared), "objective": declared.objective, "racing": declared.racing}
    if declared.fitness is None and not any(options.values()):
        return default_fitness(space)
    return make_fitness(declared.fitness or "inherited", space, **options)


def _weights(declared: TaskDeclaration) -> dict[str, Any]:
    return {"supernet": declared.supernet, "data": declared.data, "root": declared.root}
