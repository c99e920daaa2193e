"""Fitness: inherited weights, lookup tables, surrogates and training-free scores.

Each file is one fitness with ``evaluate(architectures)``; any function of an architecture works as well.
"""

from nasformer.fitness.cached import CachedFitness
from nasformer.fitness.finetuning import Finetuning
from nasformer.fitness.inherited import InheritedFitness
from nasformer.fitness.noisy import NoisyFitness
from nasformer.fitness.parallel import ParallelFitness
from nasformer.fitness.surrogate import SurrogateFitness
from nasformer.fitness.table import TableFitness
from nasformer.fitness.training_free import TrainingFreeFitness

__all__ = [
    "CachedFitness",
    "Finetuning",
    "InheritedFitness",
    "NoisyFitness",
    "ParallelFitness",
    "SurrogateFitness",
    "TableFitness",
    "TrainingFreeFitness",
]
