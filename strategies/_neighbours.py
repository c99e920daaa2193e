"""Neighbours: the feasible single-gene mutations of an architecture, in random order.

Infeasible mutations are repaired by mutating a second gene or, if the first is a network dimension, by the fewest
further steps. The rows of a table are rarely that close: there, the nearest rows are the neighbours, in a sparse one
the nearest that were not asked before.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from nasformer.architecture import Architecture
from nasformer.space import EnumeratedSet, FeasibleSet, Scores
from nasformer.strategies._genes import Genes

_SECOND_STEPS = 16
"""Second mutations tried to repair an infeasible one."""

_NEAREST = 32
"""Neighbours of a table's row."""


class Neighbours:
    """The neighbourhoods in a feasible set.

    Args:
        feasible: The set.
    """

    def __init__(self, feasible: FeasibleSet) -> None:
        self.feasible, self.space = feasible, feasible.space
        self.genes = Genes(feasible.space)
        self._network = [d.name for d in feasible.space.dimensions if d.scope == "network"]

    def of(
        self, architecture: Architecture, rng: random.Random, asked: Collection[Architecture] = ()
    ) -> Iterator[Architecture]:
        """Yield feasible neighbours in random order; each mutation is tried once.

        Args:
            architecture: A member of the set.
            rng: Random generator of the order and of the repairs.
            asked: Architectures that are no neighbours in a sparse set.
        """
        if isinstance(self.feasible, EnumeratedSet):
            passed = {architecture, *(asked if self.feasible.sparse else ())}
            rows = (each for each in self.feasible.nearest(architecture) if each not in passed)
            neighbours = list(islice(rows, _NEAREST))
            rng.shuffle(neighbours)
            yield from neighbours
            return
        parent = self.genes.encode(architecture, rng)
        for name, choice in self._steps(parent, architecture.depth, rng):
            genes = {**parent, name: choice}
            child = self.genes.decode(genes)
            if child not in self.feasible:
                repaired = self._nearest_with(child, name, rng) if name in self._network else None
                child = repaired or self._second_step(genes, name, child.depth, rng) or child
            if child in self.feasible:
                yield child

    def _steps(self, genes: dict[str, int], depth: int, rng: random.Random) -> list[tuple[str, int]]:
        """Return all mutations of active genes, shuffled."""
        steps = [
            (name, choice)
            for name in self.genes.active(depth)
            for choice in range(self.genes.choices[name])
            if choice != genes[name]
        ]
        rng.shuffle(steps)
        return steps

    def _second_step(self, genes: dict[str, int], first: str, depth: int, rng: random.Random) -> Architecture | None:
        """Return a feasible mutation of another gene, if one is found."""
        for name, choice in self._steps(genes, depth, rng)[:_SECOND_STEPS]:
            if name != first:
                child = self.genes.decode({**genes, name: choice})
                if child in self.feasible:
                    return child
        return None

    def _nearest_with(self, child: Architecture, name: str, rng: random.Random) -> Architecture | None:
        """Return the nearest member with the child's choice of a network dimension, with random ties."""
        value, tables = getattr(child, name), dict[str, NDArray[np.float64]]()

        def near(choices: Sequence[float], wanted: float) -> list[float]:
            at = choices.index(wanted)
            return [-abs(index - at) - rng.random() / 1e3 for index in range(len(choices))]

        layers = [d for d in self.space.dimensions if d.scope == "layer"]
        for dimension in layers:
            tables[dimension.name] = np.zeros((self.space.codec.max_depth, len(dimension.values)))
        for layer in range(child.depth):
            for dimension in layers:
                wanted = getattr(child, dimension.name)[layer]
                tables[dimension.name][layer] = near(dimension.values, wanted)
        for dimension in self.space.dimensions:
            if dimension.scope == "network":
                tables[dimension.name] = np.array(near(dimension.values, getattr(child, dimension.name)))
        own = self.space.codec.values[name]
        tables[name] = np.where(np.array(own) == value, 0.0, -1e6)
        member = self.feasible.argmax(Scores(tables))
        return member if getattr(member, name) == value else None
