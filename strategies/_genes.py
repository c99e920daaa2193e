"""Genes: fixed-length encoding of architectures for numerical optimizers and mutation.

A gene is a choice index, so neighbouring choices are close. All layers of the deepest architecture have genes; those
beyond the depth are inactive. A tied dimension is one gene, a dimension with a single value none.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from nasformer.architecture import Architecture
from nasformer.space import SearchSpace


class Genes:
    """The genes of a space.

    Args:
        space: The space.

    Attributes:
        choices: Number of choices by gene: ``embed_dim``, ``depth``, ``num_heads.0``, …

    >>> from nasformer.space import load_space
    >>> genes = Genes(load_space("autoformer-tiny"))
    >>> len(genes.choices), genes.choices["embed_dim"], genes.choices["mlp_ratio.13"]
    (30, 3, 2)
    """

    def __init__(self, space: SearchSpace) -> None:
        codec, layers = space.codec, space.codec.max_depth
        self._dimensions, self._depths = codec.dimensions, codec.depths
        self._index = {name: {value: i for i, value in enumerate(values)} for name, values in codec.values.items()}
        self._names = {
            d.name: [d.name] * layers if d.tied else [f"{d.name}.{layer}" for layer in range(layers)]
            for d in codec.dimensions
        }
        lengths = {name: len(d.values) for d in codec.dimensions for name in self._names[d.name]}
        self.choices = {name: length for name, length in lengths.items() if length > 1}

    def active(self, depth: int) -> list[str]:
        """Return the active genes at a depth."""
        names = [name for names in self._names.values() for name in names[:depth]]
        return [name for name in dict.fromkeys(names) if name in self.choices]

    def decode(self, genes: Mapping[str, int]) -> Architecture:
        """Decode genes to an architecture."""
        depth, choices = self._depths[genes.get("depth", 0)], dict[str, Any]()
        for dimension in self._dimensions:
            values, names = dimension.values, self._names[dimension.name][:depth]
            if dimension.scope == "layer":
                choices[dimension.name] = tuple([values[genes.get(name, 0)] for name in names])
            elif dimension.name != "depth":
                choices[dimension.name] = values[genes.get(dimension.name, 0)]
        return Architecture(**choices)

    def encode(self, architecture: Architecture, rng: random.Random) -> dict[str, int]:
        """Encode an architecture; inactive genes are random."""
        genes: dict[str, int] = {}
        for dimension in self._dimensions:
            index, value = self._index[dimension.name], getattr(architecture, dimension.name)
            values = value if dimension.scope == "layer" else (value,)
            genes.update((name, index[each]) for name, each in zip(self._names[dimension.name], values, strict=False))
        return {
            name: genes[name] if name in genes else rng.randrange(choices) for name, choices in self.choices.items()
        }
