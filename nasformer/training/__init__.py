"""Training: recipe, training loop and entry points.

``recipe`` holds the hyperparameters, ``loop`` the training loop; ``supernet`` and ``subnet`` set it up for an
entangled supernet and for a single network, ``finetune`` adds test metrics, and ``distributed`` trains on several
processes. ``sampling``, ``augment``, ``objective``, ``teacher``, ``optimizer``, ``ema``,
``randomness``, ``validation``, ``log`` and ``state`` are parts of the loop.
"""

from nasformer.errors import deprecated_names
from nasformer.training.defaults import default_recipe, family_recipe
from nasformer.training.device import find_device
from nasformer.training.distributed import is_main_process, should_report
from nasformer.training.finetune import FinetuneResult, finetune, retrain
from nasformer.training.front import finetune_front
from nasformer.training.recipe import Affine, Recipe
from nasformer.training.repair import repair
from nasformer.training.result import TrainingResult
from nasformer.training.subnet import train_subnet
from nasformer.training.supernet import train_supernet
from nasformer.training.teacher import Teacher, load_teacher
from nasformer.training.validation import Score, evaluate
from nasformer.training.weights import bind_weights, find_weights

__all__ = [
    "Affine",
    "FinetuneResult",
    "Recipe",
    "Score",
    "Teacher",
    "TrainingResult",
    "bind_weights",
    "default_recipe",
    "evaluate",
    "family_recipe",
    "find_device",
    "find_weights",
    "finetune",
    "finetune_front",
    "is_main_process",
    "load_teacher",
    "repair",
    "retrain",
    "should_report",
    "train_subnet",
    "train_supernet",
]

__getattr__ = deprecated_names(__name__, {"leads": "is_main_process", "speaks": "should_report"})
