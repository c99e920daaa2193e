"""Trainings of a diagnosis: supernets, networks alone, winners, and random search with early stopping.

Compute is in multiply-accumulates of training, forward and backward: three times those of a forward pass. Validation
is not counted, for anyone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasformer._io import digest
from nasformer.architecture import Architecture
from nasformer.data.dataset import Dataset
from nasformer.diagnose.bench import Bench, some
from nasformer.diagnose.jobs import JobResult
from nasformer.supernet import Supernet
from nasformer.training import Recipe, retrain, train_supernet
from nasformer.training.compute import for_compute
from nasformer.training.log import Row
from nasformer.training.result import TrainingResult
from nasformer.training.supernet import FILE as WEIGHTS

_RUNGS = 9
_TRIALS = 3


@dataclass(frozen=True)
class SupernetTraining:
    """Another training of the diagnosed supernet, with its recipe and another seed."""

    seed: int

    def name(self, bench: Bench) -> str:
        """Return its file name."""
        recipe = changed(bench.training["recipe"])
        return f"supernet-{digest([bench.net.space.fingerprint, recipe, self.seed, bench.images])}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Train, and keep the weights."""
        recipe = reseeded(bench.training["recipe"], self.seed)
        net = Supernet(bench.net.space, seed=recipe.seed)
        result = train_supernet(net, bench.data, recipe, keep=False, **options(bench, folder))
        file = str((folder / WEIGHTS).relative_to(bench.folder))
        return {"file": file, "macs": result.macs, "seconds": result.seconds}


@dataclass(frozen=True)
class Alone:
    """A network trained alone, evaluated on the test images.

    Attributes:
        architecture: The network.
        recipe: Its recipe.
        macs: Compute, from which the epochs follow; None: the recipe's epochs.
        seed: Added to the recipe's seed.
    """

    architecture: Architecture
    recipe: Mapping[str, Any]
    macs: float | None = None
    seed: int = 0

    def name(self, bench: Bench) -> str:
        """Return its file name."""
        how = [self.architecture.to_dict(), changed(self.recipe), self.macs, self.seed]
        return f"retrain-{digest([*how, bench.net.space.fingerprint, bench.images])}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Train, evaluate, and keep only the figures."""
        recipe, space = reseeded(self.recipe, self.seed), bench.net.space
        if self.macs is not None:
            recipe = for_compute(recipe, self.macs, space.macs(self.architecture), len(bench.data.train))
        recipe = recipe.replace(validate_every=recipe.epochs)
        result = retrain(self.architecture, space, bench.data, recipe, **options(bench, folder))
        test, training = result.figures["test"], result.training
        scores = {name: test[name] for name in bench.data.task.objectives}
        return {**scores, "macs": training.macs, "epochs": passes(training, bench), "seconds": training.seconds}


@dataclass(frozen=True)
class EarlyStopping:
    """Random search with early stopping of networks trained alone: Optuna's Hyperband (Li et al., JMLR 2018).

    Attributes:
        budget: The budget.
        recipe: Recipe of a network.
        macs: Compute of all networks together; a network that is not stopped has a third of it.
        seed: Of the architectures.
    """

    budget: Mapping[str, Any]
    recipe: Mapping[str, Any]
    macs: float
    seed: int

    def name(self, bench: Bench) -> str:
        """Return its file name."""
        how = [dict(self.budget), changed(self.recipe), self.macs, self.seed, bench.plan.search_images]
        return f"hyperband-{digest([*how, bench.net.space.fingerprint, bench.images])}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Train until the compute is spent, and evaluate the best network of the search images on the test images."""
        import optuna

        space, data = bench.net.space, bench.data
        drawn = space.feasible(**self.budget).sample(10 * _TRIALS * _RUNGS, seed=self.seed)
        pruner = optuna.pruners.HyperbandPruner(1, _RUNGS, 3)
        sampler = optuna.samplers.RandomSampler(self.seed)
        how: dict[str, Any] = {"study_name": "hyperband"}  # from which Hyperband draws a trial's bracket
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner, **how)
        watched = Dataset(
            train=data.train, search=some(data.search, bench.plan.search_images), test=data.test, task=data.task,
            **{key: getattr(data, key) for key in ("name", "record", "num_classes", "image_size", "in_channels")},
        )  # fmt: skip
        spent, seconds, best = 0.0, 0.0, (float("-inf"), drawn[0], dict[str, float]())
        for architecture in drawn:
            if spent >= self.macs and best[2]:
                break
            trial, forward = study.ask(), space.macs(architecture)
            recipe = for_compute(
                reseeded(self.recipe, self.seed), self.macs / _TRIALS, forward, len(data.train), _RUNGS
            )
            how = {"device": bench.device, "progress": False, "readers": bench.readers}
            race = _Race(trial, bench, recipe.epochs, self.macs - spent)
            try:
                result = retrain(architecture, space, watched, recipe.replace(validate_every=1), callback=race, **how)
            except optuna.TrialPruned:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                study.tell(trial, race.value)
                if race.value > best[0]:
                    best = race.value, architecture, result.figures["test"]
            spent, seconds = spent + race.macs, seconds + race.seconds
        scores = {name: best[2][name] for name in data.task.objectives}
        return {
            **scores,
            "architecture": best[1].to_dict(),
            "networks": len(study.trials),
            "macs": spent,
            "seconds": seconds,
        }


class _Race:
    """The callback of a training in a search with early stopping."""

    def __init__(self, trial: Any, bench: Bench, epochs: int, left: float) -> None:
        self.trial, self.bench, self.epochs, self.left = trial, bench, epochs, left
        self.macs, self.seconds, self.value, self.rung = 0.0, 0.0, float("-inf"), 0

    def __call__(self, row: Row) -> None:
        """Report each ninth of the training, and stop it if it is not worth going on or the compute is spent."""
        import optuna

        self.macs, self.seconds = self.macs + row["macs"], self.seconds + row["seconds"]
        (scores,) = row["validation"].values()
        self.value = self.bench.value(scores)
        rung = row["epoch"] * _RUNGS // self.epochs
        if rung > self.rung:
            self.rung = rung
            self.trial.report(self.value, rung)
        if row["epoch"] < self.epochs and (self.trial.should_prune() or self.macs >= self.left):
            raise optuna.TrialPruned


def reseeded(recipe: Mapping[str, Any], seed: int) -> Recipe:
    """Return the recipe with ``seed`` added to its own seed."""
    return Recipe(**{**recipe, "seed": recipe["seed"] + seed})


def passes(training: TrainingResult, bench: Bench) -> float:
    """Return how often a training saw the train images."""
    return training.steps * training.recipe.batch_size / len(bench.data.train)


def changed(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a recipe that are no defaults: later versions have further ones."""
    plain = Recipe().to_dict()
    return {name: value for name, value in recipe.items() if plain.get(name, value) != value}


def options(bench: Bench, folder: Path) -> dict[str, Any]:
    """Return how a training runs in a folder."""
    options: dict[str, Any] = {"out": folder, "resume": True, "device": bench.device, "progress": False}
    return options | {"readers": bench.readers}
