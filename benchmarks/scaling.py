"""Bottlenecks of one search at 8, 64 and 1,000 workers: a simulation of the pool, from costs measured here.

Measures real searches with one and two single-threaded worker processes, and in the first the individual costs:
a block on all images by embed_dim, a result's way through the pool and into the journal, an ask and a tell.
Two workers slow each other down where they share memory, so that is measured too, with both busy on their own.
The simulation must reproduce both searches within 15 %; then it extrapolates to machines that are not here, where one
architecture takes ``--seconds`` (an assumption) on a device.
"""

from __future__ import annotations

import argparse
import heapq
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._population import InOrderOfSize, generations
from benchmarks._timing import machine
from nasformer.architecture import Architecture
from nasformer.data import load_dataset
from nasformer.fitness import InheritedFitness, ParallelFitness
from nasformer.fitness.parts import Part, cut
from nasformer.fitness.prefix_tree import PrefixTree
from nasformer.search import Evaluation, SearchResult
from nasformer.searcher import Searcher
from nasformer.space import SearchSpace, load_space
from nasformer.supernet import Supernet

WORKERS, BATCH, GENERATIONS = (8, 64, 1000), 50, 6


@dataclass(frozen=True)
class Costs:
    """Seconds of everything.

    Args:
        block: One block, or stem, on all images, by embed_dim.
        answer: An evaluation's way through the search's process, and into its storage.
        generation: An ask and a tell.
    """

    block: Mapping[int, float]
    answer: float
    generation: float

    def of(self, part: Part) -> float:
        """Return the time that a worker takes for a part."""
        shares = PrefixTree(part.architectures).shares()
        return sum(self.block[architecture.embed_dim] * share for architecture, share in shares.items())


def simulated(population: Sequence[Architecture], workers: int, costs: Costs) -> float:
    """Return the time of a generation: whoever is free takes the next part; one process takes all answers."""
    parts = iter(cut(population, workers))
    busy = [(costs.of(part), len(part.architectures)) for part in islice(parts, workers)]
    heapq.heapify(busy)
    now = 0.0
    while busy:
        done, answers = heapq.heappop(busy)
        now = max(now, done) + answers * costs.answer
        part = next(parts, None)
        if part is not None:
            heapq.heappush(busy, (now + costs.of(part), len(part.architectures)))
    return now + costs.generation


class Nothing:
    """A fitness that takes no time, in parts as if it shared prefixes: what is left is the pool and the storage."""

    outcomes = None  # only races call it; a fitness that has it gets parts of several architectures

    def __init__(self, device: str) -> None:
        self.device = device

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Yield one value for all, with as many metrics as a real one."""
        metrics = {"loss": 0.5, "standard_error": 0.1, "images": 1.0}
        yield from (Evaluation(each, 1.0, seconds=1e-6, metrics=metrics) for each in architectures)


def search(
    space: SearchSpace, fitness: ParallelFitness, seed: int = 0, *, journal: bool = True
) -> tuple[SearchResult, float]:
    """Return a search that is recorded in a journal or in memory, and its seconds without the confirmation."""
    with tempfile.TemporaryDirectory() as folder:
        searcher = Searcher(space, "evolution", fitness, seed)
        options = {
            "batch_size": BATCH,
            "confirm": 1,
            "progress": False,
            "storage": Path(folder) / "study.log" if journal else None,
        }
        start = time.perf_counter()
        result = searcher.run(evaluations=GENERATIONS * BATCH, **options)  # type: ignore[arg-type]
        return result, time.perf_counter() - start - result.seconds["confirmation"]


def batches(result: SearchResult) -> list[list[Architecture]]:
    """Return the generations of a search."""
    return [[trial.architecture for trial in group] for _, group in groupby(result.trials, lambda trial: trial.batch)]


def measured(space: SearchSpace, result: SearchResult) -> Costs:
    """Return the costs of a search with one worker, and those of one that evaluates nothing."""
    seconds = {trial.architecture: trial.seconds for trial in result.trials}
    spent: defaultdict[int, float] = defaultdict(float)
    blocks: defaultdict[int, float] = defaultdict(float)
    for part in (part for population in batches(result) for part in cut(population, 1)):
        for architecture, share in PrefixTree(part.architectures).shares().items():
            spent[architecture.embed_dim] += seconds[architecture]
            blocks[architecture.embed_dim] += share
    with ParallelFitness(Nothing, workers=1, devices=["cpu"], threads=1) as nothing:
        nothing.describe()
        idle, whole = search(space, nothing)
        unwritten, without = search(space, nothing, journal=False)
    strategy = idle.seconds["strategy"]
    answer = (whole - strategy) / len(idle.trials)
    rest = (without - unwritten.seconds["strategy"]) / len(unwritten.trials)
    print(f"one answer: {1e3 * answer:.2f} ms with the journal, {1e3 * rest:.2f} ms in memory")
    return Costs({width: spent[width] / blocks[width] for width in spent}, answer, strategy / GENERATIONS)


def slowdown(fitnesses: Sequence[ParallelFitness], populations: Sequence[Sequence[Architecture]]) -> float:
    """Return how much longer an evaluation takes while the other worker is busy too."""

    def seconds(fitness: ParallelFitness, population: Sequence[Architecture]) -> float:
        return sum(evaluation.seconds for evaluation in fitness.evaluate(population))

    def blocks(population: Sequence[Architecture]) -> float:
        return sum(sum(PrefixTree(part.architectures).shares().values()) for part in cut(population, 1))

    alone = together = 0.0  # seconds a block; in turn, so that drift hits both alike
    with ThreadPoolExecutor(len(fitnesses)) as pool:
        for first, second in zip(populations[::2], populations[1::2], strict=True):
            alone += sum(seconds(fitness, first) for fitness in fitnesses) / blocks(first)
            together += sum(pool.map(seconds, fitnesses, [second] * len(fitnesses))) / blocks(second)
    return together / alone


def compare(what: str, expected: float, found: float) -> None:
    """Print a measured and a simulated time."""
    error = 100 * abs(expected / found - 1)
    verdict = "within" if error <= 15 else "NOT within"
    print(
        f"{what}: measured {found:.2f} s, simulated {expected:.2f} s: {error:.0f} % apart, {verdict} 15 %", flush=True
    )


def forecast(costs: Costs, seconds: float, gigabits: float) -> None:
    """Print what the workers of larger machines do with their time, for random populations of AutoFormer-S."""
    feasible = load_space("autoformer-small").feasible()
    space = feasible.space
    block = seconds / (1 + space.supernet_architecture.depth)  # the stem counts as a block
    larger = Costs({int(width): block for width in space.embed_dim}, costs.answer, costs.generation)
    size = 4 * space.params(space.supernet_architecture)
    print(f"\n{space.name}, {seconds:g} s for its largest architecture alone; ", end="")
    print(
        f"weights of {size / 1e6:.0f} MB take {8 * size / gigabits / 1e9:.2f} s to each worker at {gigabits:g} Gbit/s"
    )
    print("workers  batch  generation, s  workers busy, %  answers and strategy, %  sending to all, s")
    for workers in WORKERS:
        for batch in (BATCH, 8 * workers):
            population = list(dict.fromkeys(feasible.sample(batch, seed=1)))
            whole = simulated(population, workers, larger)
            busy = sum(map(larger.of, cut(population, workers))) / (workers * whole)
            own = (len(population) * costs.answer + costs.generation) / whole
            sending = workers * 8 * size / gigabits / 1e9
            print(f"{workers:7d} {batch:6d} {whole:14.1f} {100 * busy:16.0f} {100 * own:24.1f} {sending:18.1f}")


def main() -> None:
    """Measure, compare and forecast."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="digits", help="and its dataset: fashion-mnist or digits")
    parser.add_argument(
        "--seconds", type=float, default=10.0, help="of one architecture on a device of a larger machine"
    )
    parser.add_argument("--gigabits", type=float, default=10.0, help="a second, from the search to each worker in turn")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    space, data = load_space(arguments.space), load_dataset(arguments.space)
    build = partial(InheritedFitness, Supernet(space, seed=0), data.search)
    feasible = space.feasible()
    fitnesses = [ParallelFitness(build, workers=workers, devices=["cpu"], threads=1) for workers in (1, 1, 2)]
    warm, *own = generations(feasible, InOrderOfSize(feasible), 7, seed=7)
    for fitness in fitnesses:
        list(fitness.evaluate(warm))
    print(machine("torch", "nasformer"))
    first, one = search(space, fitnesses[0], seed=0)
    costs = measured(space, first)
    factor = slowdown(fitnesses[:2], own)
    second, two = search(space, fitnesses[2], seed=1)
    for fitness in fitnesses:
        fitness.close()
    print(f"an ask and a tell: {1e3 * costs.generation:.1f} ms")
    print(f"two busy workers take {factor:.2f} times as long as one")
    slower = Costs({width: factor * cost for width, cost in costs.block.items()}, costs.answer, costs.generation)
    compare("1 worker", sum(simulated(each, 1, costs) for each in batches(first)), one)
    compare("2 workers", sum(simulated(each, 2, slower) for each in batches(second)), two)
    print(f"the process of the search is full at {1 / costs.answer:.0f} evaluations a second")
    forecast(costs, arguments.seconds, arguments.gigabits)


if __name__ == "__main__":
    main()
