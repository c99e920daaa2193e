"""Search spaces: declared dimensions, and the exact set of architectures within a budget."""

from nasformer.cost import Series
from nasformer.dimension import Choices, Dimension, Kind, choice, per_layer
from nasformer.space.bounded import bounded
from nasformer.space.built_in import load_space, space_names
from nasformer.space.counted import CountedSet
from nasformer.space.enumerated import EnumeratedSet
from nasformer.space.feasible import FeasibleSet
from nasformer.space.filtered import FilteredSet
from nasformer.space.released import released
from nasformer.space.scores import Scores
from nasformer.space.searchspace import SearchSpace

__all__ = [
    "Choices",
    "CountedSet",
    "Dimension",
    "EnumeratedSet",
    "FeasibleSet",
    "FilteredSet",
    "Kind",
    "Scores",
    "SearchSpace",
    "Series",
    "bounded",
    "choice",
    "load_space",
    "per_layer",
    "released",
    "space_names",
]
