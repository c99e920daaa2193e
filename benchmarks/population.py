"""A population evaluated together, against one architecture at a time.

Printed are ratios, both sides measured in this run, on a trained fashion-mnist supernet (``--supernet``; default: the
weights kept for the space): sharing on a generation of evolution and on all of one embed_dim, racing on the
generations of a real search, and both in bfloat16. ``--images`` are used where time is measured, ``--raced`` where
images are counted. Block counts of AutoFormer's own spaces need no network.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._timing import machine
from nasformer.architecture import Architecture
from nasformer.data import load_dataset
from nasformer.data.batches import iterate
from nasformer.data.memory import ImagesInMemory
from nasformer.errors import FitnessError
from nasformer.fitness import InheritedFitness, SurrogateFitness
from nasformer.fitness.outcome import Objective, Outcome
from nasformer.fitness.population import population_outcomes
from nasformer.fitness.prefix_tree import PrefixTree
from nasformer.fitness.racing import Found, Racing, race
from nasformer.registry import get_strategy, load_supernet
from nasformer.search import Evaluation, Fitness, Trial
from nasformer.space import FeasibleSet, load_space
from nasformer.supernet import Supernet

RESULTS = Path(__file__).resolve().parent / "results" / "population.json"
DATA = Path(os.environ.get("NASFORMER_REFERENCE", "../shared")) / "imagenet-inherited"
BUDGETS = {"tiny": (5e6, 6e6), "small": (18e6, 23e6), "base": (42e6, 54e6)}
POPULATION, KEEP = 50, 10
OUTCOMES = Mapping[Architecture, Outcome]


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


def report(what: str, figure: float, goal: float, note: str = "") -> dict[str, object]:
    """Print one ratio beside its goal, and return both."""
    print(
        f"{what}: {figure:.3g}; goal ≥ {goal:g}: {'met' if figure >= goal else 'MISSED'}{note and '   ' + note}",
        flush=True,
    )
    return {"what": what, "figure": round(figure, 3), "goal": goal, "note": note}


def seconds(fitness: InheritedFitness, architectures: Sequence[Architecture], *, singly: bool = False) -> float:
    """Return the time of an evaluation, together or one by one."""
    start = time.perf_counter()
    for part in [[each] for each in architectures] if singly else [architectures]:
        for evaluation in fitness.evaluate(part):
            if evaluation.value is None:
                raise FitnessError(str(evaluation.error), evaluation)
    return time.perf_counter() - start


def share_of_blocks() -> list[dict[str, object]]:
    """Print the part of the block computations that generations of evolution need in AutoFormer's own spaces."""
    rows = []
    for name, params in BUDGETS.items():
        feasible = load_space(f"autoformer-{name}").feasible(params=params)
        file = DATA / f"surrogate_{name}.json"
        known = name == "small" and file.is_file()  # T's table knows two of three widths, B has none
        fitness: Fitness = SurrogateFitness.load(file) if known else InOrderOfSize(feasible)
        trees = [PrefixTree(each) for each in generations(feasible, fitness, 20)]
        share = sum(tree.blocks for tree in trees) / sum(tree.one_by_one for tree in trees)
        led = "accuracies" if known else "parameters"
        print(f"blocks needed, 20 generations of evolution on autoformer-{name} led by {led}: {100 * share:.0f} %")
        rows.append({"what": f"share of blocks, autoformer-{name}", "figure": round(share, 3), "note": f"led by {led}"})
    return rows


class InOrderOfSize:
    """The parameters, with a little noise, as a fitness: where accuracies are not known."""

    def __init__(self, feasible: FeasibleSet) -> None:
        self.feasible, self.rng = feasible, np.random.default_rng(0)

    def evaluate(self, architectures: Sequence[Architecture]) -> list[Evaluation]:
        """Return an evaluation of each."""
        noise = self.rng.normal(0, 0.1, len(architectures))
        sizes = [self.feasible.space.params(each) / 1e6 for each in architectures]
        return [Evaluation(a, size + n) for a, size, n in zip(architectures, sizes, noise, strict=True)]


def shared_generation(
    net: Supernet, split: ImagesInMemory, asked: Sequence[Sequence[Architecture]]
) -> list[dict[str, object]]:
    """Time generations together, one by one, and together in bfloat16."""

    def fitness(**options: object) -> InheritedFitness:
        return InheritedFitness(net, split, device="cpu", **options)  # type: ignore[arg-type]

    together, half = [], []
    for population in asked:
        single = seconds(fitness(), population, singly=True)
        together.append(single / seconds(fitness(), population))
        half.append(single / seconds(fitness(dtype="bfloat16"), population))
    spread = f"{len(asked)} generations: {', '.join(f'{each:.2f}' for each in together)}"
    rows = [report("generation of 50, shared, against one by one", median(together), 1.25, spread)]
    rows.append(report("the same in bfloat16", median(half), 1.25))
    return rows


def whole_space(net: Supernet, split: ImagesInMemory) -> dict[str, object]:
    """Time all architectures of the narrowest embed_dim; the sample one by one is extrapolated."""
    codec = net.space.codec
    layers = list(product(codec.num_heads, codec.mlp_ratio))
    stacks = [stack for depth in codec.depth for stack in product(layers, repeat=depth)]
    archs = [Architecture(min(codec.embed_dim), *zip(*stack, strict=True)) for stack in stacks]
    images = ImagesInMemory(split.images[:16], split.labels[:16])
    sample = [archs[i] for i in np.random.default_rng(0).permutation(len(archs))[:400]]
    before, whole, after = (
        seconds(InheritedFitness(net, images, device="cpu"), each, singly=each is sample)
        for each in (sample, archs, sample)
    )
    single = (before + after) / 2 / len(sample) * len(archs)
    tree = PrefixTree(archs)
    share = f"{100 * tree.blocks / tree.one_by_one:.0f} % of the blocks"
    note = f"{len(archs):,} architectures, {len(images)} images, {share}"
    return report(
        "every architecture of the narrowest embed_dim, shared, against one by one", single / whole, 4.0, note
    )


def outcomes(net: Supernet, split: ImagesInMemory, asked: Sequence[Sequence[Architecture]], bfloat16: bool) -> OUTCOMES:
    """Return what every image says of every architecture."""
    found = population_outcomes(
        net, PrefixTree([a for each in asked for a in each]), iterate(split, 64), bfloat16=bfloat16
    )
    return {a: outcome for a, outcome in found.items() if isinstance(outcome, Outcome)}


def raced(
    table: OUTCOMES, asked: Sequence[Sequence[Architecture]], objective: Objective, repeats: int
) -> tuple[float, float]:
    """Return the part of the images that the races of a search used, and of the true top ten that they kept."""
    images, used, kept, all_images, best = next(iter(table.values())).seen, 0, 0, 0, 0
    for repeat in range(repeats):
        order = np.random.default_rng(repeat).permutation(images)
        shuffled = {a: Outcome(o.correct[order], o.loss[order]) for a, o in table.items()}
        told: list[Architecture] = []  # those that saw every image, best first

        def compute(archs: Sequence[Architecture], start: int, stop: int, mixed: OUTCOMES = shuffled) -> Found:
            return {a: mixed[a].part(start, stop) for a in archs}

        def value(a: Architecture) -> float:
            return float(table[a].values(objective).mean())

        before: list[Architecture] = []
        for population in asked:
            rivals = [shuffled[a] for a in told[:KEEP]]
            found = race(Racing(), population, compute, images=images, objective=objective, keep=KEEP, rivals=rivals)
            seen = {a: o.seen for a, o in found.items() if isinstance(o, Outcome)}
            before += population
            needed = set(sorted(before, key=value, reverse=True)[:KEEP]) & set(population)
            kept, best = kept + sum(seen[a] == images for a in needed), best + len(needed)
            used, all_images = used + sum(seen.values()), all_images + images * len(population)
            told = sorted([*told, *(a for a in seen if seen[a] == images)], key=value, reverse=True)
    return used / all_images, kept / best


def racing(
    net: Supernet, split: ImagesInMemory, asked: Sequence[Sequence[Architecture]], repeats: int
) -> list[dict[str, object]]:
    """Count the images that races need, in many orders of the images."""
    table = outcomes(net, split, asked, bfloat16=True)
    rows = []
    for objective in ("loss", "accuracy"):
        used, kept = raced(table, asked, objective, repeats)
        note = f"{100 * used:.0f} % of {len(split):,} images, {len(asked)} generations, {repeats} orders"
        rows.append(report(f"racing on {objective}: fewer images", 1 / used, 3.0 if objective == "loss" else 1.0, note))
        rows.append(report(f"racing on {objective}: true top ten kept, %", 100 * kept, 98.0))
    return rows


def everything(
    net: Supernet, split: ImagesInMemory, asked: Sequence[Sequence[Architecture]], sample: int
) -> dict[str, object]:
    """Time races of the last generations in bfloat16, against a sample one by one in float32 on every image."""
    fast = InheritedFitness(net, split, device="cpu", dtype="bfloat16", objective="loss", racing=True)
    rivals: list[Architecture] = []
    values: dict[Architecture, float] = {}
    took = 0.0
    for population in asked:
        fast.race_for(KEEP, rivals)
        start = time.perf_counter()
        found = list(fast.evaluate(population))
        took += time.perf_counter() - start
        values |= {e.architecture: e.value for e in found if e.value is not None and not e.dropped}
        rivals = sorted(values, key=lambda a: -values[a])[:KEEP]
    everyone = [a for each in asked for a in each]
    chosen = everyone[:: math.ceil(len(everyone) / sample)]
    single = seconds(InheritedFitness(net, split, device="cpu"), chosen, singly=True) / len(chosen) * len(everyone)
    note = f"{len(asked)} generations, {len(split):,} images; {len(chosen)} one by one, extrapolated"
    return report("raced on loss, shared, bfloat16, against one by one, float32, every image", single / took, 6.0, note)


def main() -> None:
    """Measure, print and, with ``--write``, keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--supernet", type=Path, help="default: the weights kept for fashion-mnist")
    parser.add_argument("--images", type=int, default=256, help="where time is measured")
    parser.add_argument("--raced", type=int, default=2000, help="where images are counted; the split has 10,000")
    parser.add_argument("--generations", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--write", action="store_true", help=f"keep the figures in {RESULTS.name}")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = share_of_blocks()
    try:
        net, _ = load_supernet(load_space("fashion-mnist"), args.supernet)
        search = load_dataset("fashion-mnist").search
    except FitnessError as error:
        print(f"the rest is skipped: {error}")
        return
    assert isinstance(search, ImagesInMemory)
    few, many = (ImagesInMemory(search.images[:n], search.labels[:n]) for n in (args.images, args.raced))
    feasible = net.space.feasible(params=300e3)
    led = InheritedFitness(net, few, device="cpu", dtype="bfloat16", objective="loss")
    asked = generations(feasible, led, args.generations)
    rows += shared_generation(net, few, asked[1:3])
    rows.append(whole_space(net, search))
    rows += racing(net, many, asked, args.repeats)
    rows.append(everything(net, many, asked, sample=10))
    print(machine("torch", "nasformer"))
    if args.write:
        RESULTS.write_text(
            json.dumps({"machine": machine("torch"), "options": str(vars(args)), "rows": rows}, indent=1)
        )


if __name__ == "__main__":
    main()
