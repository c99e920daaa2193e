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


def trained(model: nn.Module, data: Dataset, recipe: Recipe) -> tuple[float, float, float]:
    """Return the mean accuracy of the subnets at half the MACs, that of the largest, and the seconds of the training."""
    net = Supernet.from_timm(model, batches=[(data.train.images[:512], data.train.labels[:512])])  # type: ignore[attr-defined]
    seconds = train_supernet(net, data, recipe, device="cpu", progress=False).seconds
    full = net.space.macs(net.space.largest)
    subnets = net.space.feasible(macs=(0.45 * full, 0.55 * full)).sample(SUBNETS, seed=0)
    scores = [evaluate(net, data.test, each).accuracy for each in subnets]
    return statistics.mean(scores), evaluate(net, data.test, net.space.largest).accuracy, seconds


def main() -> None:
    """Print a row per way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits")
    parser.add_argument(
        "--epochs", type=int, default=8, help="of each family, sandwiches; single subnets have four times"
    )
    parser.add_argument("--checkpoint-epochs", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    arguments = parser.parse_args()
    data = load_dataset(arguments.data)
    model = checkpoint(data, arguments.checkpoint_epochs)
    print(
        f"{arguments.data}: the model has {evaluate(model, data.test).accuracy:.2f} % on {len(data.test):,} test images"
    )
    print(f"{'way':<32}{'half the MACs':>14}{'to uniform':>12}{'± s.e.':>8}{'largest':>9}{'seconds':>9}")
    base: list[float] = []
    for name, options in WAYS.items():
        epochs = arguments.epochs * (1 if "sandwich_random" in options else PASSES)
        recipe = Recipe.for_dataset("digits").replace(
            **options, epochs=epochs, learning_rate=arguments.learning_rate, validate_every=epochs
        )
        rows = [trained(model, data, recipe.replace(seed=seed)) for seed in range(arguments.seeds)]
        half, largest, seconds = zip(*rows, strict=True)
        base = base or list(half)
        gains = [mine - other for mine, other in zip(half, base, strict=True)]
        error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else float("nan")
        means = statistics.mean(half), statistics.mean(gains), error, statistics.mean(largest), sum(seconds)
        print(
            f"{name:<32}{means[0]:>12.2f} %{means[1]:>+12.2f}{means[2]:>8.2f}{means[3]:>7.2f} %{means[4]:>9.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
