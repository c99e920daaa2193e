"""Evaluation of a population at once, against one architecture at a time.

Prints ratios, both sides measured in this run, on a trained fashion-mnist supernet (``--supernet``; default: the
weights kept for the space): prefix sharing on a generation of evolution and on all of one embed_dim, and combined:
sharing, races and bfloat16. The rank agreement of bfloat16 with float32 is also printed. ``--images`` are used for
timing, ``--raced`` in races. Block counts of AutoFormer's own spaces need no network.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import median

import numpy as np
import torch
from scipy.stats import kendalltau

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._population import (
    KEEP,
    TASK,
    Generations,
    InOrderOfSize,
    Row,
    arguments,
    first,
    generations,
    keep,
    led_by_loss,
    outcomes,
    report,
    trained,
)
from nasformer.architecture import Architecture
from nasformer.data.memory import ImagesInMemory
from nasformer.errors import FitnessError, NasformerError
from nasformer.fitness import InheritedFitness, SurrogateFitness
from nasformer.fitness.prefix_tree import PrefixTree
from nasformer.search import Fitness
from nasformer.space import load_space
from nasformer.supernet import Supernet

DATA = Path(os.environ.get("NASFORMER_REFERENCE", "../shared")) / "imagenet-inherited"
BUDGETS = {"tiny": (5e6, 6e6), "small": (18e6, 23e6), "base": (42e6, 54e6)}


def seconds(fitness: InheritedFitness, architectures: Sequence[Architecture], *, singly: bool = False) -> float:
    """Return the time of an evaluation, together or one by one."""
    start = time.perf_counter()
    for part in [[each] for each in architectures] if singly else [architectures]:
        for evaluation in fitness.evaluate(part):
            if evaluation.value is None:
                raise FitnessError(str(evaluation.error), evaluation)
    return time.perf_counter() - start


def share_of_blocks() -> list[Row]:
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


def shared_generation(net: Supernet, split: ImagesInMemory, asked: Sequence[Sequence[Architecture]]) -> list[Row]:
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


def whole_space(net: Supernet, split: ImagesInMemory) -> Row:
    """Time all architectures of the narrowest embed_dim; the sample one by one is extrapolated."""
    codec = net.space.codec
    layers = list(product(codec.values["num_heads"], codec.values["mlp_ratio"]))
    stacks = [stack for depth in codec.depths for stack in product(layers, repeat=depth)]
    archs = [Architecture(min(codec.values["embed_dim"]), *zip(*stack, strict=True)) for stack in stacks]
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


def precision(net: Supernet, split: ImagesInMemory, asked: Generations) -> list[Row]:
    """Print how far bfloat16 ranks architectures as float32 does."""
    single, half = (outcomes(net, split, asked, bfloat16=each) for each in (False, True))
    rows = []
    for objective in map(TASK.objective, ("accuracy", "loss")):
        fine, coarse = ([float(o[a].values(TASK, objective).mean()) for a in single] for o in (single, half))
        agreement = float(kendalltau(fine, coarse).statistic)
        top, same = (set(np.argsort(np.negative(each), kind="stable")[:KEEP].tolist()) for each in (fine, coarse))
        note = f"{len(fine)} architectures, {len(split):,} images; {len(top & same)} of the ten best are the same"
        rows.append(report(f"Kendall's tau of the {objective.name} in bfloat16 and in float32", agreement, None, note))
    return rows


def everything(net: Supernet, split: ImagesInMemory, asked: Sequence[Sequence[Architecture]], sample: int) -> Row:
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
    parser = arguments(__doc__, images=256)
    parser.add_argument("--raced", type=int, default=10_000, help="images of the races")
    parser.add_argument("--generations", type=int, default=4)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = share_of_blocks()
    try:
        net, split = trained(args.supernet, args.raced)
    except NasformerError as error:
        print(f"the rest is skipped: {error}")
        return
    few = first(split, args.images)
    asked = led_by_loss(net, split, args.generations)
    rows += shared_generation(net, few, asked[1:3])
    rows.append(whole_space(net, split))
    rows += precision(net, first(split, 2000), asked[-1:])
    rows.append(everything(net, split, asked, sample=6))
    if args.write:
        options = {"images": args.images, "raced": args.raced, "generations": args.generations}
        keep("population.json", options, rows)


if __name__ == "__main__":
    main()
