"""Neighbours: the architectures one step from another that keep within the budget, in random order.

A step is another choice of one gene. One that leaves the budget is brought back: by another choice of
a second gene, or, where the width or the depth changed, by the fewest further steps that suffice. A
table holds hardly any two architectures so near: there, its nearest rows are the neighbours.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import numpy as np

from nasformer.architecture import Architecture
from nasformer.space import EnumeratedSet, FeasibleSet
from nasformer.strategies._genes import Genes

_SECOND_STEPS = 16
"""How many second steps are tried to bring one back into the budget."""

_NEAREST = 32
"""How many rows of a table are an architecture's neighbours."""


class Neighbours:
    """The neighbourhood that a feasible set gives its members.

    Args:
        feasible: The set.
    """

    def __init__(self, feasible: FeasibleSet) -> None:
        self.feasible, self.space = feasible, feasible.space
        self.genes = Genes(feasible.space)

    def of(self, architecture: Architecture, rng: random.Random) -> Iterator[Architecture]:
        """Yield feasible neighbours, in random order; each step is tried once.

        Args:
            architecture: A member of the set.
            rng: Gives the order, and the second steps.
        """
        if isinstance(self.feasible, EnumeratedSet):
            yield from self._nearest_rows(architecture, rng)
            return
        parent = self.genes.write(architecture, rng)
        for name, choice in self._steps(parent, architecture.depth, rng):
            genes = {**parent, name: choice}
            child = self.genes.read(genes)
            if child not in self.feasible:
                brought = self._held(child, name, rng) if name in ("embed_dim", "depth") else None
                child = brought or self._second_step(genes, name, child.depth, rng) or child
            if child in self.feasible:
                yield child

    def _steps(self, genes: dict[str, int], depth: int, rng: random.Random) -> list[tuple[str, int]]:
        """Return every other choice of every gene that matters."""
        steps = [
            (name, choice)
            for name in self.genes.active(depth)
            for choice in range(self.genes.choices[name])
            if choice != genes[name]
        ]
        rng.shuffle(steps)
        return steps

    def _second_step(self, genes: dict[str, int], first: str, depth: int, rng: random.Random) -> Architecture | None:
        """Return what a step of another gene brings back into the budget."""
        for name, choice in self._steps(genes, depth, rng)[:_SECOND_STEPS]:
            if name != first:
                child = self.genes.read({**genes, name: choice})
                if child in self.feasible:
                    return child
        return None

    def _held(self, child: Architecture, name: str, rng: random.Random) -> Architecture | None:
        """Return the member with the child's width or depth that is the fewest steps away, any of several."""
        codec, value = self.space.codec, getattr(child, name)

        def near(key: str, wanted: float) -> dict[float, float]:
            choices = getattr(codec, key)
            at = choices.index(wanted)
            return {other: -abs(index - at) - rng.random() / 1e3 for index, other in enumerate(choices)}

        layers = [
            {"num_heads": near("num_heads", heads), "mlp_ratio": near("mlp_ratio", ratio)}
            for heads, ratio in zip(child.num_heads, child.mlp_ratio, strict=True)
        ]
        scores = {"embed_dim": near("embed_dim", child.embed_dim), "depth": near("depth", child.depth)}
        scores[name] = {other: 0.0 if other == value else -1e6 for other in scores[name]}
        member = self.feasible.argmax({**scores, "layers": layers})
        return member if getattr(member, name) == value else None

    def _nearest_rows(self, architecture: Architecture, rng: random.Random) -> list[Architecture]:
        codes = self.feasible.codes()
        steps = np.abs(codes - self.space.encode([architecture])).sum(axis=1)
        rows = np.argsort(steps, kind="stable")[1 : 1 + _NEAREST]
        neighbours = self.space.decode(codes[rows])
        rng.shuffle(neighbours)
        return neighbours
