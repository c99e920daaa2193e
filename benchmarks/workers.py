"""Generations of evolution evaluated by worker processes, against the same in this process, one thread each.

Prints the speed-up over this process, round by round with a new generation each; the overhead of one worker
over none; and how many more blocks are computed because a population is split. The weights are random: the
time does not depend on them. ``python benchmarks/workers.py --workers 2``.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._population import POPULATION, InOrderOfSize, generations
from benchmarks._timing import machine, ratio
from nasformer.architecture import Architecture
from nasformer.data import load_dataset
from nasformer.data.memory import ImagesInMemory
from nasformer.errors import FitnessError
from nasformer.fitness import InheritedFitness, ParallelFitness
from nasformer.fitness.parts import cut
from nasformer.fitness.prefix_tree import PrefixTree
from nasformer.search import Fitness
from nasformer.space import load_space
from nasformer.supernet import Supernet


def seconds(fitness: Fitness, architectures: Sequence[Architecture]) -> float:
    """Return the time of an evaluation, of which none may fail."""
    start = time.perf_counter()
    for evaluation in fitness.evaluate(architectures):
        if evaluation.value is None:
            raise FitnessError(str(evaluation.error), evaluation)
    return time.perf_counter() - start


def more_blocks(asked: Sequence[Sequence[Architecture]], workers: int) -> float:
    """Return the blocks that the parts compute, as a multiple of those of the whole populations."""
    parts = (PrefixTree(part.architectures) for population in asked for part in cut(population, workers))
    return sum(tree.blocks for tree in parts) / sum(PrefixTree(population).blocks for population in asked)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="fashion-mnist", help="and its dataset: fashion-mnist or digits")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.workers < 2:
        parser.error(f"--workers is at least 2, got {arguments.workers}; one is measured anyway")
    torch.set_num_threads(1)
    space = load_space(arguments.space)
    search = load_dataset(arguments.space).search
    if not isinstance(search, ImagesInMemory):
        raise FitnessError(f"{arguments.space} is not in memory", search)
    split = ImagesInMemory(search.images[: arguments.images], search.labels[: arguments.images])
    build = partial(InheritedFitness, Supernet(space, seed=0), split)
    feasible = space.feasible()
    asked = generations(feasible, InOrderOfSize(feasible), arguments.rounds + 1)
    plain = build(device="cpu")
    times: dict[int, list[float]] = {0: [], 1: [], arguments.workers: []}
    with (
        ParallelFitness(build, workers=1, devices=["cpu"], threads=1) as one,
        ParallelFitness(build, workers=arguments.workers, devices=["cpu"], threads=1) as many,
    ):
        for population in asked:
            for workers, fitness in ((0, plain), (1, one), (arguments.workers, many)):
                times[workers].append(seconds(fitness, population))
    here, alone, shared = (values[1:] for values in times.values())  # the first starts the workers
    print(machine("torch", "nasformer"))
    print(f"{arguments.rounds} generations of {POPULATION} on {space.name}, {len(split)} images, one thread each")
    print(
        f"more blocks by cutting for {arguments.workers} workers: {more_blocks(asked[1:], arguments.workers):.2f} times"
    )
    print("one worker, times as long as this process: {:.2f} ({:.2f} to {:.2f})".format(*ratio(alone, here)))
    print(
        f"{arguments.workers} workers, speed-up over this process: "
        + "{:.2f} ({:.2f} to {:.2f})".format(*ratio(here, shared))
    )


if __name__ == "__main__":
    main()
