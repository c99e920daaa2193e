"""Spaces: dimensions are declared, the declaration is a value, and a budget makes it an exact set."""

from nasformer.space.built_in import load_space, space_names
from nasformer.space.counted import CountedSet
from nasformer.space.dimension import Dimension, choice, per_layer
from nasformer.space.feasible import EnumeratedSet, FeasibleSet
from nasformer.space.released import released
from nasformer.space.searchspace import SearchSpace

__all__ = [
    "CountedSet",
    "Dimension",
    "EnumeratedSet",
    "FeasibleSet",
    "SearchSpace",
    "choice",
    "load_space",
    "per_layer",
    "released",
    "space_names",
]
