"""Spaces: dimensions are declared, the declaration is a value, and a budget makes it an exact set."""

from nasformer.space.counted import CountedSet
from nasformer.space.dimension import Dimension, choice, per_layer
from nasformer.space.feasible import EnumeratedSet, FeasibleSet
from nasformer.space.searchspace import SearchSpace

__all__ = ["CountedSet", "Dimension", "EnumeratedSet", "FeasibleSet", "SearchSpace", "choice", "per_layer"]
