"""Ways to train a family from a checkpoint: accuracy at half the MACs, against uniform sampling with as many passes.

Trains a timm ViT, imports it as a supernet for each way and seed, trains the family for a few epochs, and tests the
same random subnets of 45 to 55 % of the model's MACs: mean top-1 accuracy, and the difference to uniform sampling.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nasformer.data import Dataset, load_dataset
from nasformer.supernet import Supernet
from nasformer.training import Recipe, evaluate, train_subnet, train_supernet

SUBNETS, PASSES = 12, 4
FAMILY: dict[str, Any] = {"distillation": "soft", "warmup_epochs": 0}
SANDWICH: dict[str, Any] = {**FAMILY, "sampling": "sandwich", "sandwich_random": PASSES - 2}
PROGRESSIVE: dict[str, Any] = {**SANDWICH, "inplace_distillation": "next_larger"}
WAYS: dict[str, dict[str, Any]] = {
    "uniform": FAMILY,
    "bins": {**FAMILY, "sampling": "bins"},
    "sandwich, largest teaches": SANDWICH,
    "sandwich, next larger teaches": PROGRESSIVE,
    "the same, one in each range": {**PROGRESSIVE, "sampling": "stratified"},
    "the same, opening over half": {**PROGRESSIVE, "open_choices": 0.5},
}


def checkpoint(data: Dataset, epochs: int) -> nn.Module:
    """Return a timm ViT trained on the data."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"img_size": data.image_size, "patch_size": data.image_size // 4, "embed_dim": 64}
    net = timm.create_model(
        "vit_tiny_patch16_224", in_chans=data.in_channels, num_classes=data.num_classes, depth=6, num_heads=4, **sizes
    )
    recipe = Recipe.for_dataset("digits").replace(epochs=epochs, learning_rate=2e-3, validate_every=epochs)
    train_subnet(net, data, recipe, device="cpu", progress=False)
    return net


def family(model: nn.Module, data: Dataset) -> Supernet:
    """Return the supernet of a model, sorted by importance on train images."""
    images, labels = data.train.images[:512], data.train.labels[:512]  # type: ignore[attr-defined]
    return Supernet.from_timm(model, batches=[(images, labels)])


def tested(net: Supernet, data: Dataset) -> tuple[float, float]:
    """Return the mean accuracy of the subnets at half the MACs, and that of the largest."""
    full = net.space.macs(net.space.largest)
    subnets = net.space.feasible(macs=(0.45 * full, 0.55 * full)).sample(SUBNETS, seed=0)
    scores = [evaluate(net, data.test, each).accuracy for each in subnets]
    return statistics.mean(scores), evaluate(net, data.test, net.space.largest).accuracy


def trained(model: nn.Module, data: Dataset, recipe: Recipe) -> tuple[float, float, float]:
    """Return the accuracies of ``tested`` after a training, and its seconds."""
    net = family(model, data)
    seconds = train_supernet(net, data, recipe, device="cpu", progress=False).seconds
    return (*tested(net, data), seconds)


def main() -> None:
    """Print a row per way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits", help="a dataset in memory")
    parser.add_argument("--epochs", type=int, default=4, help=f"of sandwiches; others have {PASSES} times as many")
    parser.add_argument("--checkpoint-epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    arguments = parser.parse_args()
    data = load_dataset(arguments.data)
    model = checkpoint(data, arguments.checkpoint_epochs)
    print(f"{'way':<32}{'half the MACs':>14}{'to uniform':>12}{'± s.e.':>8}{'largest':>9}{'seconds':>9}")
    print("{:<32}{:>12.2f} %{:>27.2f} %".format("not trained", *tested(family(model, data), data)))
    base: list[float] = []
    for name, options in WAYS.items():
        epochs = arguments.epochs * (1 if "sandwich_random" in options else PASSES)
        changes = {**options, "epochs": epochs, "validate_every": epochs, "learning_rate": arguments.learning_rate}
        recipe = Recipe.for_dataset("digits").replace(**changes)
        rows = [trained(model, data, recipe.replace(seed=seed)) for seed in range(arguments.seeds)]
        half, largest, seconds = zip(*rows, strict=True)
        base = base or list(half)
        gains = [mine - other for mine, other in zip(half, base, strict=True)]
        error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
        figures = statistics.mean(half), statistics.mean(gains), error, statistics.mean(largest), sum(seconds)
        print("{:<32}{:>12.2f} %{:>+12.2f}{:>8.2f}{:>7.2f} %{:>9.0f}".format(name, *figures), flush=True)


if __name__ == "__main__":
    main()
