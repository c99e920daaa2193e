"""Setup shared by the evaluation benchmarks: trained supernet, images, and generations of a real search."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks._timing import machine
from nasformer.architecture import Architecture
from nasformer.data import load_dataset
from nasformer.data.batches import iterate
from nasformer.data.memory import ImagesInMemory
from nasformer.fitness import InheritedFitness
from nasformer.fitness.outcome import Outcome
from nasformer.fitness.population import population_outcomes
from nasformer.fitness.prefix_tree import PrefixTree
from nasformer.registry import get_strategy
from nasformer.search import Evaluation, Fitness, Trial
from nasformer.space import FeasibleSet, load_space
from nasformer.supernet import Supernet
from nasformer.tasks import get_task
from nasformer.training.opening import load_supernet

TASK = get_task("classification")()

POPULATION, KEEP = 50, 10
BUDGET = {"params": 300e3}
Generations = Sequence[Sequence[Architecture]]
Outcomes = Mapping[Architecture, Outcome]


def arguments(description: str | None, images: int) -> argparse.ArgumentParser:
    """Return a parser of what these benchmarks have in common."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--supernet", type=Path, help="default: the weights kept for fashion-mnist")
    parser.add_argument("--images", type=int, default=images, help="of the search split, which has 10,000")
    parser.add_argument("--write", action="store_true", help="keep the figures under results/")
    return parser


def trained(supernet: Path | None, images: int) -> tuple[Supernet, ImagesInMemory]:
    """Return the fashion-mnist supernet and images of the search split.

    Raises:
        FitnessError: There are no weights.
        DataError: There are no images.
    """
    net, _ = load_supernet(load_space("fashion-mnist"), supernet, "fashion-mnist")
    search = load_dataset("fashion-mnist").search
    assert isinstance(search, ImagesInMemory)
    return net, first(search, images)


def first(split: ImagesInMemory, images: int) -> ImagesInMemory:
    """Return the first images of a split."""
    return ImagesInMemory(split.images[:images], split.labels[:images])


def generations(feasible: FeasibleSet, fitness: Fitness, count: int, seed: int = 0) -> list[list[Architecture]]:
    """Return the generations of an evolution that a fitness led."""
    strategy, number, asked = get_strategy("evolution")(feasible, seed=seed), 0, []
    for batch in range(count):
        asked.append(strategy.ask(POPULATION))
        costs = feasible.space.costs
        trials = [
            Trial(number + i, batch, e.architecture, e.value, metrics=e.metrics, costs=costs(e.architecture))
            for i, e in enumerate(fitness.evaluate(asked[-1]))
        ]
        strategy.tell(trials)
        number += len(trials)
    return asked


class InOrderOfSize:
    """The parameters, with a little noise, as a fitness: where accuracies are not known."""

    def __init__(self, feasible: FeasibleSet) -> None:
        self.feasible, self.rng = feasible, np.random.default_rng(0)

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Evaluation]:
        """Return an evaluation of each."""
        noise = self.rng.normal(0, 0.1, len(architectures))
        sizes = [self.feasible.space.params(each) / 1e6 for each in architectures]
        return [Evaluation(a, size + n) for a, size, n in zip(architectures, sizes, noise, strict=True)]


def led_by_loss(net: Supernet, split: ImagesInMemory, count: int) -> list[list[Architecture]]:
    """Return the generations of an evolution on fashion-mnist, led by the loss on a few images."""
    led = InheritedFitness(net, first(split, 256), device="cpu", dtype="bfloat16", objective="loss")
    return generations(net.space.feasible(**BUDGET), led, count)


def outcomes(net: Supernet, split: ImagesInMemory, asked: Generations, *, bfloat16: bool) -> Outcomes:
    """Return what every image says of every architecture."""
    tree = PrefixTree([architecture for each in asked for architecture in each])
    found = population_outcomes(net, tree, iterate(split, 64), scores=TASK.scores, bfloat16=bfloat16)
    return {a: outcome for a, outcome in found.items() if isinstance(outcome, Outcome)}


Row = dict[str, object]


def report(what: str, figure: float, goal: float | None = None, note: str = "") -> Row:
    """Print one figure beside its goal, if it has one, and return both."""
    verdict = "" if goal is None else f"; goal ≥ {goal:g}: {'met' if figure >= goal else 'MISSED'}"
    print(f"{what}: {figure:.3g}{verdict}{note and '   ' + note}", flush=True)
    return {"what": what, "figure": round(figure, 3), "goal": goal, "note": note}


def keep(name: str, options: Mapping[str, object], rows: Sequence[Row]) -> None:
    """Write the figures of a run under ``results/``."""
    kept = {"machine": machine("torch", "nasformer"), "options": options, "rows": rows}
    text = json.dumps(kept, indent=1, ensure_ascii=False)
    (Path(__file__).resolve().parent / "results" / name).write_text(f"{text}\n", encoding="utf-8")
