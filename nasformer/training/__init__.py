"""Training: a recipe, one loop, and two ways into it.

``recipe`` says how, ``loop`` does it, ``supernet`` and ``subnet`` set it up for an entangled supernet
and for one network alone, and ``distributed`` for several processes at once. ``augment``, ``optimizer``,
``randomness``, ``validation``, ``journal`` and ``state`` are the loop's parts.
"""

from nasformer.training.device import find_device
from nasformer.training.distributed import leads, speaks
from nasformer.training.loop import TrainingResult
from nasformer.training.recipe import Affine, Recipe
from nasformer.training.subnet import train_subnet
from nasformer.training.supernet import train_supernet
from nasformer.training.validation import Score, evaluate

__all__ = [
    "Affine",
    "Recipe",
    "Score",
    "TrainingResult",
    "evaluate",
    "find_device",
    "leads",
    "speaks",
    "train_subnet",
    "train_supernet",
]
