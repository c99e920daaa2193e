"""Trainings at equal compute: supernets, the winners of all budgets, and random search with early stopping.

Compute is in multiply-accumulates of training, forward and backward: three times those of a forward pass. Validation
is not counted, for anyone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasformer._io import digest
from nasformer.data.dataset import Dataset
from nasformer.diagnose.bench import Bench, some
from nasformer.diagnose.jobs import STRATEGY, JobResult, changed, options, passes, reseeded, search_seconds
from nasformer.growth import grow_front
from nasformer.growth.affordable import default_epochs
from nasformer.supernet import Supernet
from nasformer.training import retrain, train_supernet
from nasformer.training.compute import for_compute
from nasformer.training.log import Row
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


@dataclass(frozen=True)
class Front:
    """The winners of all budgets, grown from one supernet (``grow_front``).

    Attributes:
        recipe: Recipe of the fine-tuning.
        macs: Compute of searches and fine-tuning together.
        seed: Seed of searches and fine-tuning.
        file: Weights in the diagnosis's folder; "": the diagnosed supernet.
    """

    recipe: Mapping[str, Any]
    macs: float
    seed: int
    file: str = ""

    def name(self, bench: Bench) -> str:
        """Return its file name."""
        size = bench.plan.identity("evaluations", "search_images", "budgets")
        weights = self.file or bench.weights  # the name of a file is a hash too
        how = [weights, bench.identity, size, changed(self.recipe), self.macs, default_epochs(len(bench.data.train))]
        return f"front-{self.seed}-{digest(how)}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Search and fine-tune, and return the figures of each winner."""
        task = bench.data.task
        front = grow_front(
            Supernet.load(bench.folder / self.file, bench.net.space) if self.file else bench.net,
            bench.data,
            bench.plan.budgets,
            reseeded(self.recipe, self.seed),
            macs=self.macs,
            evaluations=bench.plan.evaluations,
            images=bench.searched,
            objective=bench.ranking,
            strategy=STRATEGY,
            seed=self.seed,
            **options(bench, folder),
        )
        rows = [
            {
                "architecture": winner.architecture.to_dict(),
                "inherited": task.objective().sign * winner.tuned.figures["before"][task.objective().name],
                **{name: winner.tuned.figures["test"][name] for name in task.objectives},
                "macs": winner.tuned.training.macs,
                "epochs": passes(winner.tuned.training, bench),
            }
            for winner in front.winners
        ]
        seconds = sum(search_seconds(each.search) + each.tuned.training.seconds for each in front.grown)
        return {"winners": rows, "macs": front.macs, "seconds": seconds}
