"""nasformer: search for vision transformers that fit a budget.

Declare a space of ViT dimensions, train one weight-entangled supernet, and let any strategy search it
with inherited weights: the method of AutoFormer (Chen et al., ICCV 2021), open to every other search
algorithm. Names are imported on first use (PEP 562), so that nothing heavy loads before it is needed.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

for _folder in ("strategies", "spaces"):
    if (Path(__file__).parent / _folder).is_file():
        raise ImportError(
            f"nasformer/{_folder} is a text file: this checkout lost its symbolic links; "
            "clone with 'git config --global core.symlinks true', or install the wheel"
        )

if TYPE_CHECKING:
    from nasformer.architecture import Architecture as Architecture
    from nasformer.compare import Comparison as Comparison
    from nasformer.compare import from_results as from_results
    from nasformer.compare.experiment import Experiment as Experiment
    from nasformer.compare.runner import run_experiment as run_experiment
    from nasformer.cost import FunctionCost as FunctionCost
    from nasformer.cost import LatencyTable as LatencyTable
    from nasformer.cost import Series as Series
    from nasformer.data import Dataset as Dataset
    from nasformer.data import load_dataset as load_dataset
    from nasformer.errors import NasformerError as NasformerError
    from nasformer.fitness import Finetuning as Finetuning
    from nasformer.fitness import InheritedFitness as InheritedFitness
    from nasformer.fitness import NoisyFitness as NoisyFitness
    from nasformer.fitness import ParallelFitness as ParallelFitness
    from nasformer.fitness import SurrogateFitness as SurrogateFitness
    from nasformer.fitness import TableFitness as TableFitness
    from nasformer.fitness import TrainingFreeFitness as TrainingFreeFitness
    from nasformer.fitness.ray import RayFitness as RayFitness
    from nasformer.growth import GrownFront as GrownFront
    from nasformer.growth import grow_front as grow_front
    from nasformer.pipeline import fit as fit
    from nasformer.registry import get_strategy as get_strategy
    from nasformer.registry import strategy_names as strategy_names
    from nasformer.search import BaseStrategy as BaseStrategy
    from nasformer.search import Evaluation as Evaluation
    from nasformer.search import Fitness as Fitness
    from nasformer.search import SearchResult as SearchResult
    from nasformer.search import Strategy as Strategy
    from nasformer.search import Trial as Trial
    from nasformer.searcher import Searcher as Searcher
    from nasformer.space import FeasibleSet as FeasibleSet
    from nasformer.space import SearchSpace as SearchSpace
    from nasformer.space import choice as choice
    from nasformer.space import load_space as load_space
    from nasformer.space import per_layer as per_layer
    from nasformer.space import released as released
    from nasformer.space import space_names as space_names
    from nasformer.supernet import Supernet as Supernet
    from nasformer.tasks import Task as Task
    from nasformer.tasks import get_task as get_task
    from nasformer.tasks import task_names as task_names
    from nasformer.training import Recipe as Recipe
    from nasformer.training import bind_weights as bind_weights
    from nasformer.training import finetune as finetune
    from nasformer.training import finetune_front as finetune_front
    from nasformer.training import repair as repair
    from nasformer.training import retrain as retrain
    from nasformer.training import train_supernet as train_supernet

_HOME = {
    "nasformer.architecture": ("Architecture",),
    "nasformer.compare": ("Comparison", "from_results"),
    "nasformer.compare.experiment": ("Experiment",),
    "nasformer.compare.runner": ("run_experiment",),
    "nasformer.cost": ("FunctionCost", "LatencyTable", "Series"),
    "nasformer.data": ("Dataset", "load_dataset"),
    "nasformer.errors": ("NasformerError",),
    "nasformer.fitness": (
        "Finetuning",
        "InheritedFitness",
        "NoisyFitness",
        "ParallelFitness",
        "SurrogateFitness",
        "TableFitness",
        "TrainingFreeFitness",
    ),
    "nasformer.fitness.ray": ("RayFitness",),
    "nasformer.growth": ("GrownFront", "grow_front"),
    "nasformer.pipeline": ("fit",),
    "nasformer.registry": ("get_strategy", "strategy_names"),
    "nasformer.search": ("BaseStrategy", "Evaluation", "Fitness", "SearchResult", "Strategy", "Trial"),
    "nasformer.searcher": ("Searcher",),
    "nasformer.space": (
        "FeasibleSet",
        "SearchSpace",
        "choice",
        "load_space",
        "per_layer",
        "released",
        "space_names",
    ),
    "nasformer.supernet": ("Supernet",),
    "nasformer.tasks": ("Task", "get_task", "task_names"),
    "nasformer.training": (
        "Recipe",
        "bind_weights",
        "finetune",
        "finetune_front",
        "repair",
        "retrain",
        "train_supernet",
    ),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [*sorted(_MODULE_OF), "__version__"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from nasformer._provenance import library_version

        return library_version()
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'nasformer' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
