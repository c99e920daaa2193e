"""Seconds of one training-free evaluation, against one forward pass of the same architecture."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._timing import machine
from nasformer.fitness import TrainingFreeFitness
from nasformer.space import load_space
from nasformer.supernet import Supernet

ARCHITECTURES = 8


def main() -> None:
    """Print one row per space: the first evaluation, which also measures weights, and the later ones."""
    print(f"{machine()}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{'space':<18}{'first s':>9}{'median of next s':>18}{'forward s':>11}{'ratio':>8}")
    for name in ("autoformer-tiny", "autoformer-small", "autoformer-base"):
        space = load_space(name)
        fitness, net = TrainingFreeFitness(space), Supernet(space).eval()
        image = torch.rand(1, 3, space.geometry.image_size, space.geometry.image_size)
        scoring, forward = [], []
        for architecture in space.sample(ARCHITECTURES, seed=0):
            start = time.perf_counter()
            list(fitness.evaluate([architecture]))
            scoring.append(time.perf_counter() - start)
            with torch.inference_mode():
                start = time.perf_counter()
                net(image, architecture)
            forward.append(time.perf_counter() - start)
        later, once = statistics.median(scoring[ARCHITECTURES // 2 :]), statistics.median(forward)
        print(f"{name:<18}{scoring[0]:>9.2f}{later:>18.2f}{once:>11.3f}{later / once:>7.0f}×")


if __name__ == "__main__":
    main()
