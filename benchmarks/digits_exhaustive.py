"""Every architecture of the digits space with inherited weights: the table for comparing strategies.

``train`` trains the supernet and ``evaluate`` evaluates all 22,113 architectures with it on the search and the test
split, and writes the shipped table ``table:digits-exhaustive``. Without a command, both are repeated for a sample
and the agreement with the shipped table is printed.

A table is useful for comparing strategies if accuracies differ by more than the sampling error of the images. With
the demo's recipe nearly all architectures classify nearly all images. So this one trains on two fifths of the images,
without augmentation, for few epochs, and leaves 30 % each to search and test: ``evaluate`` prints the spread of the
accuracies, the sampling error of as many images, and the correlation of search and test accuracy. It was
selected from nine settings of images, epochs, learning rate and augmentation, one training each, by these figures of
300 architectures: the landscape is a selected one, and test images contributed to the selection.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nasformer.architecture import Architecture
from nasformer.data import Dataset
from nasformer.data.batches import iterate
from nasformer.data.tensors import from_arrays
from nasformer.fitness import TableFitness
from nasformer.fitness.outcome import Outcome
from nasformer.fitness.population import population_outcomes
from nasformer.fitness.prefix_tree import PrefixTree, in_tree_order
from nasformer.space import load_space
from nasformer.supernet import Supernet
from nasformer.training import Recipe, train_supernet

NAME = "digits-exhaustive"
SPLITS = {"train": 0.4, "search": 0.3, "test": 0.3}
RECIPE = Recipe(
    epochs=60,
    batch_size=64,
    learning_rate=1e-3,
    warmup_epochs=3,
    mixup=0.0,
    cutmix=0.0,
    drop_path=0.0,
    auto_augment=None,
    random_erasing=0.0,
    horizontal_flip=0.0,
    grad_clip=1.0,
    validate_every=60,
    amp="off",
)
REMARK = (
    "The supernet's training was chosen among nine by how far its architectures differ and how well search and test "
    "images agree on them: test images took part in the choice of the table, though in that of no winner."
)
SEED = 0
SAMPLE = 200
"""Architectures that are judged anew where no command is given."""
PART = 1000
"""Architectures judged together."""

Columns = dict[str, NDArray[Any]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``train``, ``evaluate``, or both for a sample."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("train").add_argument("supernet", type=Path)
    evaluating = commands.add_parser("evaluate")
    evaluating.add_argument("supernet", type=Path)
    evaluating.add_argument("table", type=Path, help="ends in .npz; its record is written beside it, as .json")
    asked = parser.parse_args(arguments)
    if asked.command == "train":
        train(asked.supernet)
    elif asked.command == "evaluate":
        space = load_space("digits")
        write(asked.table, asked.supernet, evaluate(asked.supernet, space.decode(space.feasible().codes())))
    else:
        agree()


def images() -> Dataset:
    """Return the digits, split as no other of our uses splits them."""
    bunch = load_digits()
    pixels = np.asarray(bunch.images, dtype=np.float32)[:, None] / 16.0  # (n, 1, 8, 8) in [0, 1]
    return from_arrays(NAME, pixels, np.asarray(bunch.target), SPLITS, seed=SEED)


def train(path: Path) -> None:
    """Train the supernet and write it."""
    data = images()
    net = Supernet(load_space("digits"), seed=SEED)
    train_supernet(net, data, RECIPE, progress=False, device="cpu")
    print(f"supernet: {net.save(path)}")


def evaluate(path: Path, architectures: Sequence[Architecture]) -> Columns:
    """Return a table's columns, in the order of the architectures; prefixes that they share are computed once."""
    net, data = Supernet.load(path, load_space("digits")), images()
    columns = architecture_columns(architectures)
    for split in ("search", "test"):
        batches = list(iterate(data.splits[split], 256))
        found: dict[Architecture, tuple[int, float]] = {}
        for part in parts(in_tree_order(architectures)):
            found |= figures(population_outcomes(net, PrefixTree(part), batches, scores=data.task.scores))
        correct, loss = zip(*(found[architecture] for architecture in architectures), strict=True)
        columns[f"{split}_correct"] = np.array(correct, dtype=np.int16)
        columns[f"{split}_loss"] = np.array(loss, dtype=np.float32)
    return columns


def parts(architectures: Sequence[Architecture]) -> Iterator[Sequence[Architecture]]:
    """Yield neighbours together, as many as leave memory whole: what each image said of each is kept meanwhile."""
    for start in range(0, len(architectures), PART):
        yield architectures[start : start + PART]


def figures(outcomes: Mapping[Architecture, Outcome | Exception]) -> dict[Architecture, tuple[int, float]]:
    """Return how many images each classified rightly, and its mean loss in nats."""
    found = {}
    for architecture, outcome in outcomes.items():
        if isinstance(outcome, Exception):
            raise outcome
        found[architecture] = (
            int(outcome.scores["accuracy"].sum()),
            float(outcome.scores["loss"].mean(dtype=np.float64)),
        )
    return found


def architecture_columns(architectures: Sequence[Architecture]) -> Columns:
    """Return the dimensions as arrays; 0 beyond the depth."""
    deepest = max(architecture.depth for architecture in architectures)
    padding = [(0,) * (deepest - architecture.depth) for architecture in architectures]
    heads = [a.num_heads + beyond for a, beyond in zip(architectures, padding, strict=True)]
    ratios = [a.mlp_ratio + beyond for a, beyond in zip(architectures, padding, strict=True)]
    return {
        "embed_dim": np.array([a.embed_dim for a in architectures], dtype=np.int16),
        "depth": np.array([a.depth for a in architectures], dtype=np.int8),
        "num_heads": np.array(heads, dtype=np.int8),
        "mlp_ratio": np.array(ratios, dtype=np.float64),
    }


def write(table: Path, supernet: Path, columns: Columns) -> None:
    """Write the columns and, beside them, the record of how they were made."""
    np.savez_compressed(table, allow_pickle=False, **columns)
    net, data = Supernet.load(supernet), images()
    record = {
        "name": table.stem,
        "space": net.space.to_dict(),
        "rows": len(columns["depth"]),
        "images": data.record["splits"],
        "training": {key: figure for key, figure in net.metadata["training"].items() if key != "history"},
        "summary": summary(columns, data.record["splits"]),
        "remark": REMARK,
        "made_by": "benchmarks/digits_exhaustive.py",
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("torch", "numpy", "scikit-learn")},
    }
    table.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{table}: {table.stat().st_size:,} bytes")
    for name, figure in record["summary"].items():
        print(f"  {name.replace('_', ' '):<34}{figure:>8.2f}")


def summary(columns: Columns, sizes: dict[str, int]) -> dict[str, float]:
    """Return how informative the table is: accuracies on search images in percent, and their spread.

    ``shared_with_test`` is the root of the covariance with those on test images, ``scatter_of_images`` the standard
    deviation that the accuracy of one network has over as many images.
    """
    found = {split: 100.0 * columns[f"{split}_correct"] / sizes[split] for split in ("search", "test")}
    search, mean = found["search"], float(found["search"].mean())
    shared = float(np.cov(search, found["test"])[0, 1])
    return {
        "lowest": float(search.min()),
        "median": float(np.median(search)),
        "highest": float(search.max()),
        "standard_deviation": float(search.std()),
        "shared_with_test": math.sqrt(max(shared, 0.0)),
        "scatter_of_images": math.sqrt(mean * (100.0 - mean) / sizes["search"]),
        "correlation_with_test": float(np.corrcoef(search, found["test"])[0, 1]),
        "correlation_with_minus_loss": float(np.corrcoef(search, -columns["search_loss"])[0, 1]),
    }


def agree() -> None:
    """Train anew, judge a sample, and print how far the shipped table is from that."""
    table = TableFitness(NAME)
    chosen = np.random.default_rng(SEED).permutation(len(table.architectures))[:SAMPLE]
    sample = [table.architectures[index] for index in chosen]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "supernet.safetensors"
        train(path)
        anew = evaluate(path, sample)
    size = images().record["splits"]["search"]
    shipped = np.array([evaluation.value for evaluation in table.evaluate(sample)])
    apart = np.abs(shipped - 100.0 * anew["search_correct"] / size)
    print(f"{SAMPLE} architectures trained and judged anew: {(apart == 0).mean():.0%} have the shipped accuracy,")
    print(f"the furthest is {apart.max():.2f} points from it")


if __name__ == "__main__":
    main()
