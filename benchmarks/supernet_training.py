"""Ways to train a supernet on CIFAR-10, each against uniform sampling at equal compute, with several seeds.

Compute is counted in multiply-accumulates, forward and backward. Judged are the same random architectures in each of
five ranges of cost with inherited weights, on test images. A killed run goes on with what is missing.

    python benchmarks/supernet_training.py --out runs/ways --workers 2 --write
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks import _cifar10
from benchmarks._marks import markdown
from nasformer._io import digest, write_file
from nasformer._provenance import processor
from nasformer.architecture import Architecture
from nasformer.data import Dataset
from nasformer.data.memory import ImagesInMemory
from nasformer.space import SearchSpace, load_space
from nasformer.supernet import Supernet
from nasformer.training import Recipe, evaluate, train_supernet
from nasformer.training.compute import for_compute
from nasformer.training.sampling import SamplingSchedule

HERE = Path(__file__).parent
RESULT = HERE / "results" / "supernet_training.md"
RECIPE, SPACE = HERE / "recipes" / "cifar10.yaml", "cifar10"
ENDS = (0.5e6, 1.0e6, 1.7e6, 2.8e6, 4.8e6, 8.0e6)
SUBNETS, TEST_IMAGES, EPOCHS = 4, 4000, 20
PROGRESSIVE: dict[str, Any] = {"sampling": "sandwich", "inplace_distillation": "next_larger", "sandwich_random": 2}
WAYS: dict[str, dict[str, Any]] = {
    "uniform": {},
    "bins": {"sampling": "bins"},
    "shift": {"sampling": "shift"},
    "candidates": {"sampling": "candidates"},
    "sandwich, next larger teaches": PROGRESSIVE,
    "the same, one in each range": {**PROGRESSIVE, "sampling": "stratified"},
    "largest first, a tenth": {"largest_first": 0.1},
    "opening over half": {"open_choices": 0.5},
    "without EMA": {"ema_decay": None},
    "RandAugment": {"auto_augment": "rand-m5-n2"},
    "bfloat16": {"amp": "bf16"},
}

Row = dict[str, Any]


def schedule(space: SearchSpace, recipe: Recipe, macs: float, images: int) -> Recipe:
    """Return the recipe with as many epochs as the compute allows; validated is the last."""
    draws = SamplingSchedule(space, recipe.replace(epochs=EPOCHS))
    steps = [subnets for epoch in range(EPOCHS) for subnets in draws(epoch, 100)]
    each = sum(space.macs(subnet) for subnets in steps for subnet in subnets) / len(steps)
    images = min(images, recipe.epoch_images or images)
    return for_compute(recipe, macs, round(each), images, EPOCHS).replace(validate_every=10**6)


@cache
def judges(space: SearchSpace) -> list[list[Architecture]]:
    """Return the architectures of each range of cost."""
    return [space.feasible(macs=(low, high)).sample(SUBNETS, seed=0) for low, high in pairwise(ENDS)]


@cache
def data_of(folder: Path, images: Path | None) -> Dataset:
    """Return CIFAR-10 with some of the test images."""
    data = _cifar10.load(folder, images)
    test: Any = data.test
    data.test = ImagesInMemory(test.images[:TEST_IMAGES], test.labels[:TEST_IMAGES])
    return data


def cell(way: str, seed: int, macs: float, out: Path, images: Path | None) -> Row:
    """Return a way's accuracies by range of cost, trained if they are not kept."""
    torch.set_num_threads(1)
    space, data = load_space(SPACE), data_of(out, images)
    recipe = Recipe.load(RECIPE).replace(sampling="uniform", seed=seed)
    recipe = schedule(space, recipe.replace(**WAYS[way]), macs, len(data.train))
    kept = out / f"{way.replace(' ', '-').replace(',', '')}-{seed}-{digest(recipe.to_dict())}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    net = Supernet(space, seed=seed)
    found = train_supernet(net, data, recipe, device="cpu", progress=False, keep=False)
    scores = [[evaluate(net, data.test, each, device="cpu").accuracy for each in own] for own in judges(space)]
    row = {"way": way, "seed": seed, "macs": found.macs, "seconds": found.seconds, "accuracies": scores}
    write_file(kept, json.dumps(row) + "\n")
    return row


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a row per way: mean accuracy by range, difference and time to uniform sampling, seed by seed."""
    base = {row["seed"]: _mean(row) for row in rows if row["way"] == "uniform"}
    clock = {row["seed"]: row["seconds"] for row in rows if row["way"] == "uniform"}
    lines = []
    for way in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == way]
        gains = [_mean(row) - base[row["seed"]] for row in own if row["seed"] in base]
        error = f" ± {statistics.stdev(gains) / len(gains) ** 0.5:.2f}" if len(gains) > 1 else ""
        ranges = [statistics.mean(statistics.mean(row["accuracies"][n]) for row in own) for n in range(len(ENDS) - 1)]
        macs = statistics.mean(row["macs"] for row in own) / 1e12
        times = [row["seconds"] / clock[row["seed"]] for row in own if row["seed"] in clock]
        gain = f"{statistics.mean(gains):+.2f}{error}" if gains else "–"
        lines.append(
            [
                way,
                *(f"{each:.1f}" for each in ranges),
                gain,
                f"{macs:.2f}",
                f"{statistics.median(times):.2f}" if times else "–",
            ]
        )
    ends = [f"to {high / 1e6:g} M" for high in ENDS[1:]]
    return markdown(["way", *ends, "to uniform (± s.e.)", "10¹² MACs", "time, to uniform"], lines)


def _mean(row: Mapping[str, Any]) -> float:
    return float(statistics.mean(score for own in row["accuracies"] for score in own))


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/ways"))
    parser.add_argument("--images", type=Path, help="folder of the images")
    parser.add_argument("--macs", type=float, default=1e12, help="compute of each training")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--way", action="append", choices=WAYS, help="default: all")
    parser.add_argument("--write", action="store_true", help=f"keep it in results/{RESULT.name}")
    given = parser.parse_args()
    ways = given.way or list(WAYS)
    data_of(given.out, given.images)  # decoded once
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        jobs = [
            pool.submit(cell, way, seed, given.macs, given.out, given.images)
            for seed in range(given.seeds)
            for way in ways
        ]
        rows = [job.result() for job in jobs]
    text = table(sorted(rows, key=lambda row: ways.index(row["way"])))
    print(text)
    if given.write:
        head = f"CIFAR-10, {given.seeds} seeds, {given.macs:.3g} multiply-accumulates each; {processor()}."
        write_file(RESULT, f"{head}\n\n{text}")


if __name__ == "__main__":
    main()
