"""Sensitivities: how the fitness changes when one gene of the largest network is replaced.

After Puzzle (Bercovich et al., arXiv 2411.19146, section 4), which scores each variant of each layer in the full model.
The sum of the changes predicts the fitness of any architecture: the scores of ``FeasibleSet.argmax``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasformer.architecture import Architecture, uniform
from nasformer.dimension import Dimension
from nasformer.search import Trial
from nasformer.space import FeasibleSet
from nasformer.space.codec import Codec
from nasformer.space.scores import Scores

Array = NDArray[np.float64]

_LEAST_EACH = 3
"""Architectures with a choice, and without it, before its error is compared."""


class _Gene(NamedTuple):
    """A choice of a dimension; of one layer, or of the network or all layers (None)."""

    dimension: Dimension
    layer: int | None
    choice: int


class Sensitivities:
    """Single-gene replacements of the largest architecture, and the scores that follow from their values.

    Only values that occur in the feasible set are replacements. Of a table only listed architectures are; if the
    largest is not listed there are none.

    Args:
        feasible: The feasible set.
        seed: Sets the layer that comes first.

    Attributes:
        reference: The largest architecture of the values that occur in the feasible set.
        architectures: The reference, then the choices of the network, then one value of each layer's genes, the
            farthest from the reference's, evenly over the layers; then the others.
        outside: Those of them outside the feasible set.
    """

    def __init__(self, feasible: FeasibleSet, seed: int = 0) -> None:
        self.codec = feasible.space.codec
        self._first_layer = seed
        reachable = feasible.reachable()
        self._searched = [replace(d, values=reachable[d.name]) for d in self.codec.dimensions]
        self.reference = uniform(**{d.name: d.at(1.0) for d in self._searched})  # type: ignore[arg-type]
        self._genes = {self._replaced(gene): gene for gene in self._ordered()}
        listed = [each for each in (self.reference, *self._genes) if feasible.evaluable(each)]
        self.architectures = listed if listed[1:] and listed[0] == self.reference else []
        self.outside = frozenset(each for each in self.architectures if each not in feasible)

    def _ordered(self) -> list[_Gene]:
        """Return the replacements by information: of the network, then by distance from the largest, then layers."""
        depth = self.reference.depth
        first = self._first_layer % depth
        layers = _farthest_first([layer for layer in range(depth) if layer != first], [first])
        found: list[tuple[tuple[int, int, int], _Gene]] = []
        for dimension in self._searched:
            indices = [self.codec.values[dimension.name].index(value) for value in dimension.values]
            own = self.codec.values[dimension.name].index(dimension.at(1.0))
            for rank, index in enumerate(_farthest_first([each for each in indices if each != own], [own])[1:]):
                for place, layer in enumerate([None] if dimension.tied else layers):
                    found.append(((int(not dimension.tied), rank, place), _Gene(dimension, layer, index)))
        return [gene for _, gene in sorted(found, key=lambda each: each[0])]

    def _replaced(self, gene: _Gene) -> Architecture:
        codec, codes = self.codec, self.codec.encode([self.reference])
        genes = codec.genes(gene.dimension.name, codes)  # a view
        if gene.layer is not None:
            genes[:, gene.layer] = gene.choice
        else:
            genes[genes >= 0] = gene.choice
        if gene.dimension.name == "depth":
            for each in codec.layer:
                codec.genes(each.name, codes)[:, codec.depths[gene.choice] :] = -1
        return codec.decode(codes)[0]

    def known(self, told: Mapping[Architecture, Trial]) -> dict[Architecture, float]:
        """Return the values of the replacements."""
        values = {each: told[each].value for each in self.architectures if each in told and each != self.reference}
        return {each: value for each, value in values.items() if value is not None}

    def top(self, told: Mapping[Architecture, Trial]) -> float:
        """Return the value of the reference; if its evaluation failed, the highest of the replacements."""
        trial = told.get(self.reference)
        own = None if trial is None else trial.value
        return max(self.known(told).values(), default=0.0) if own is None else own

    def scores(self, told: Mapping[Architecture, Trial]) -> Scores:
        """Return the change of the fitness by choice; interpolated where no value was told."""
        top = self.top(told)
        tables = {name: np.full(table.shape, np.nan) for name, table in Scores.zeros(self.codec).tables.items()}
        for dimension in self._searched:
            tables[dimension.name][..., self.codec.values[dimension.name].index(dimension.at(1.0))] = 0.0
        for architecture, value in self.known(told).items():
            gene = self._genes[architecture]
            table, change = tables[gene.dimension.name], value - top
            if gene.dimension.scope == "network":
                table[gene.choice] = change
            elif gene.layer is None:
                table[:, gene.choice] = change / self.reference.depth
            else:
                table[gene.layer, gene.choice] = change
        return Scores({name: _interpolated(table) for name, table in tables.items()})


def least_additive(codec: Codec, architectures: Sequence[Architecture], errors: Array) -> dict[str, Any]:
    """Return the choice whose architectures are mispredicted most significantly, relative to the others.

    Args:
        codec: The space's codec.
        architectures: Evaluated architectures.
        errors: Value minus prediction of each, ``(architectures,)``.
    """
    codes, best, found = codec.encode(architectures), 0.0, dict[str, Any]()
    for column in range(codec.columns):
        dimension, layer = codec.column(column)
        for index, value in enumerate(dimension.values):
            own = codes[:, column] == index
            if min(own.sum(), (~own).sum()) < _LEAST_EACH:
                continue
            apart = float(errors[own].mean() - errors[~own].mean())
            weight = abs(apart) * float(np.sqrt(own.sum() * (~own).sum()))
            if weight > best:
                where = "" if layer is None or dimension.tied else f" in layer {layer + 1}"
                best, found = weight, {"least_additive": f"{dimension.name} {value:g}{where}", "its_error": apart}
    return found


def _farthest_first(rest: Iterable[int], chosen: list[int]) -> list[int]:
    """Return the chosen, then the rest, each the farthest from those before.

    >>> _farthest_first(range(1, 6), [0])
    [0, 5, 2, 1, 3, 4]
    """
    order, rest = list(chosen), list(rest)
    while rest:
        order.append(max(rest, key=lambda each: min(abs(each - other) for other in order)))
        rest.remove(order[-1])
    return order


def _interpolated(table: Array) -> Array:
    """Return a table ``(..., choices)`` without NaNs: interpolated along the choices, then along the layers.

    >>> _interpolated(np.array([[-2.0, np.nan, 0.0], [np.nan, np.nan, 0.0], [-4.0, -1.0, 0.0]])).tolist()
    [[-2.0, -1.0, 0.0], [-3.0, -1.0, 0.0], [-4.0, -1.0, 0.0]]
    """
    rows = np.atleast_2d(table).copy()
    told = np.flatnonzero((~np.isnan(rows)).sum(axis=1) > 1)
    for row in told:
        rows[row] = _filled(rows[row])
    if not len(told):
        return np.zeros_like(table)
    rows[np.setdiff1d(np.arange(len(rows)), told)] = np.nan
    filled: Array = np.stack([_filled(column) for column in rows.T], axis=1)
    return filled.reshape(table.shape)


def _filled(values: Array) -> Array:
    """Return values with NaNs interpolated linearly, and constant beyond the ends."""
    at = np.flatnonzero(~np.isnan(values))
    return np.interp(np.arange(len(values)), at, values[at])
