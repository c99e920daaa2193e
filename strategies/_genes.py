"""Genes: an architecture as named choices, which is how optimizers of numbers and mutations see it.

A gene is the index of a choice, so that neighbouring choices are near. All layers of the deepest
architecture have genes; those beyond the depth do nothing. What is declared once for all layers is
one gene, and what leaves no choice is none.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from nasformer.architecture import Architecture
from nasformer.space import SearchSpace

_DIMENSIONS = ("embed_dim", "depth", "num_heads", "mlp_ratio")


class Genes:
    """The genes of a space.

    Args:
        space: The space.

    Attributes:
        choices: Number of choices of every gene by its name: ``embed_dim``, ``depth``, ``num_heads.0``, …

    >>> from nasformer.space import load_space
    >>> genes = Genes(load_space("autoformer-tiny"))
    >>> len(genes.choices), genes.choices["embed_dim"], genes.choices["mlp_ratio.13"]
    (30, 3, 2)
    """

    def __init__(self, space: SearchSpace) -> None:
        self._values: dict[str, tuple[float, ...]] = {key: getattr(space.codec, key) for key in _DIMENSIONS}
        self._index = {key: {value: i for i, value in enumerate(values)} for key, values in self._values.items()}
        self._tied, layers = space.codec.tied, space.codec.max_depth
        self._names = {
            key: [key] * layers if self._tied.get(key, True) else [f"{key}.{layer}" for layer in range(layers)]
            for key in _DIMENSIONS
        }
        lengths = {name: len(self._values[key]) for key, names in self._names.items() for name in names}
        self.choices = {name: length for name, length in lengths.items() if length > 1}

    def active(self, depth: int) -> list[str]:
        """Return the genes that make a difference to an architecture of some depth."""
        names = [name for names in self._names.values() for name in names[:depth]]
        return [name for name in dict.fromkeys(names) if name in self.choices]

    def read(self, genes: Mapping[str, int]) -> Architecture:
        """Return the architecture that genes describe."""
        depth = int(self._values["depth"][genes.get("depth", 0)])
        heads = tuple(int(value) for value in self._layers("num_heads", genes, depth))
        embed_dim = int(self._values["embed_dim"][genes.get("embed_dim", 0)])
        return Architecture(embed_dim, heads, tuple(self._layers("mlp_ratio", genes, depth)))

    def _layers(self, key: str, genes: Mapping[str, int], depth: int) -> list[float]:
        return [self._values[key][genes.get(name, 0)] for name in self._names[key][:depth]]

    def write(self, architecture: Architecture, rng: random.Random) -> dict[str, int]:
        """Return the genes of an architecture; those beyond its depth are drawn, since they do nothing."""
        genes = {
            "embed_dim": self._index["embed_dim"][architecture.embed_dim],
            "depth": self._index["depth"][architecture.depth],
        }
        for key in ("num_heads", "mlp_ratio"):
            index = self._index[key]
            genes.update(
                (name, index[value]) for name, value in zip(self._names[key], getattr(architecture, key), strict=False)
            )
        return {
            name: genes[name] if name in genes else rng.randrange(choices) for name, choices in self.choices.items()
        }
