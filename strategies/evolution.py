"""AutoFormer's evolutionary search (Chen et al., ICCV 2021, section 3.3, with its code's hyperparameters).

A random initial population; then each generation consists of mutations and crossovers of the ten best architectures
so far, filled up at random. Infeasible children are rejected as in the paper, repaired, or resampled within the
budget. The paper and its code disagree on the two mutation probabilities; this follows the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nasformer.architecture import Architecture
from nasformer.errors import StrategyError
from nasformer.search import BaseStrategy
from nasformer.space import FeasibleSet

_HANDLING = {"reject": "infeasible", "repair": "repaired", "resample": "resampled"}
"""Handling of infeasible children, and the key of its count."""


class Evolution(BaseStrategy):
    """AutoFormer's evolution.

    Args:
        feasible: The set to search.
        seed: Random seed.
        evaluations: Number of evaluations.
        batch_size: Architectures per ask.
        population: Population size.
        parents: Number of parents: the best architectures so far.
        mutants: Mutations per generation.
        crossovers: Crossovers per generation.
        mutate_network: Probability of resampling the depth, and each other network dimension.
        mutate_layer: Probability of resampling each layer dimension of each layer.
        infeasible: Handling of infeasible children: ``reject``, as in the paper: retry with other parents;
            ``repair``: the nearest feasible architecture; ``resample``: resample the mutated or crossed genes within
            the budget. ``counts`` has the totals.
    """

    saved = ("_generation", "_best")

    def __init__(
        self,
        feasible: FeasibleSet,
        *,
        seed: int,
        evaluations: int | None = None,
        batch_size: int = 1,
        population: int = 50,
        parents: int = 10,
        mutants: int = 25,
        crossovers: int = 25,
        mutate_network: float = 0.4,
        mutate_layer: float = 0.2,
        infeasible: str = "reject",
    ) -> None:
        super().__init__(feasible, seed=seed, evaluations=evaluations, batch_size=batch_size)
        counts = {"population": population, "parents": parents, "mutants": mutants, "crossovers": crossovers}
        for name, number in counts.items():
            least = int(name in ("population", "parents"))
            if not isinstance(number, int) or number < least:
                raise StrategyError(f"{name} must be a whole number of at least {least}, got {number!r}", number)
        if mutants + crossovers > population:
            raise StrategyError(
                f"mutants + crossovers must be at most the population of {population}, got {mutants} + {crossovers}",
                (mutants, crossovers),
            )
        for name, chance in (("mutate_network", mutate_network), ("mutate_layer", mutate_layer)):
            if not 0 <= chance <= 1:
                raise StrategyError(f"{name} is a probability, got {chance}", chance)
        if infeasible not in _HANDLING:
            raise StrategyError(f"infeasible is {', '.join(_HANDLING)}, got {infeasible!r}", infeasible)
        self.counts.setdefault(_HANDLING[infeasible], 0)
        self.infeasible = infeasible
        self.population, self.parents, self.mutants, self.crossovers = population, parents, mutants, crossovers
        self.keeps = parents
        self.mutate_network, self.mutate_layer = mutate_network, mutate_layer
        self._generation = 0
        self._best: list[Architecture] = []

    def ask(self, n: int = 1) -> list[Architecture]:
        """Return ``n`` children; the position in the search determines the generation."""
        asked: list[Architecture] = []
        for _ in range(n):
            generation = len(self._asked) // self.population
            if generation != self._generation:  # trials of other budgets count as well
                self._generation = generation
                self._best = [trial.architecture for trial in self.best_told(self.parents)]
            child = super().ask(1)
            if not child:
                break
            asked += child
        return asked

    def propose(self) -> Architecture:
        """Return a mutation, a crossover or a random sample, by position in the generation."""
        position = len(self._asked) % self.population
        if not self._best or position >= self.mutants + self.crossovers:
            return self.draw()
        parents = (self.rng.choice(self._best),) if position < self.mutants else self._pair()
        child = self.mutate(*parents) if len(parents) == 1 else self.cross(*parents)
        return self._handle_infeasible(child, parents)

    def _pair(self) -> tuple[Architecture, Architecture]:
        """Return two of the best with equal depth."""
        return self.rng.choice([(a, b) for a in self._best for b in self._best if a.depth == b.depth])

    def _handle_infeasible(self, child: Architecture, parents: tuple[Architecture, ...]) -> Architecture:
        """Return the child, repaired or resampled if infeasible."""
        if self.infeasible == "reject" or child in self.feasible:
            return child
        self.counts[_HANDLING[self.infeasible]] += 1
        resampled = self.infeasible == "resample" and not self.feasible.sparse
        return self._resample(child, parents) if resampled else self.repair(child)

    def mutate(self, parent: Architecture) -> Architecture:
        """Resample some dimensions of a parent, in the official order; a value may stay the same."""
        rng, codec = self.rng, self.space.codec
        choices = {d.name: getattr(parent, d.name) for d in codec.dimensions if d.name != "depth"}
        layers = {dimension.name: list(choices[dimension.name]) for dimension in codec.layer}
        if rng.random() < self.mutate_network:
            depth = rng.choice(codec.depths)
            for name, values in layers.items():
                layers[name] = values[:depth] + [rng.choice(codec.values[name]) for _ in range(depth - len(values))]
        for name in reversed(layers):
            options, values = codec.values[name], layers[name]
            layers[name] = [rng.choice(options) if rng.random() < self.mutate_layer else value for value in values]
        for dimension in codec.network:
            if rng.random() < self.mutate_network:
                choices[dimension.name] = rng.choice(dimension.values)
        return self._child({**choices, **layers})

    def cross(self, first: Architecture, second: Architecture) -> Architecture:
        """Return a uniform crossover of two parents of equal depth."""
        either, codec, choices = self.rng.choice, self.space.codec, dict[str, Any]()
        for dimension in (*codec.layer, *codec.network):
            pair = getattr(first, dimension.name), getattr(second, dimension.name)
            whole = dimension.scope == "network"
            choices[dimension.name] = either(pair) if whole else [either(each) for each in zip(*pair, strict=True)]
        return self._child(choices)

    def _child(self, choices: Mapping[str, Any]) -> Architecture:
        """Set each tied dimension to the value of one random layer."""
        tied = {
            d.name: (self.rng.choice(choices[d.name]),) * len(choices[d.name]) for d in self.space.codec.layer if d.tied
        }
        return Architecture(**{**choices, **tied})

    def _resample(self, child: Architecture, parents: tuple[Architecture, ...]) -> Architecture:
        """Resample the genes that the child does not share with all parents, within the budget."""
        depth, fixed = min(each.depth for each in (child, *parents)), dict[str, Any]()
        for dimension in self.space.dimensions:
            values = [getattr(each, dimension.name) for each in (child, *parents)]
            if dimension.scope == "network":
                fixed |= {dimension.name: values[0]} if len(set(values)) == 1 else {}
                continue
            layers = enumerate(zip(*(each[:depth] for each in values), strict=True))
            kept = {layer: each[0] for layer, each in layers if len(set(each)) == 1}
            fixed |= {dimension.name: next(iter(kept.values())) if dimension.tied else kept} if kept else {}
        (again,) = self.feasible.sample(1, self._draw_rng, fixed=fixed)
        return again
