"""torch.compile against eager execution of an extracted network: from how many images on does it pay?

The network is one of the fashion-mnist space under 300,000 parameters, with random weights, on which speed does
not depend. It is compiled anew in each round, with inductor's caches off. Its outputs are checked first.
``python benchmarks/compile.py``; needs g++.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")  # before torch reads it

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._timing import Spread, machine, rounds
from nasformer.space import load_space
from nasformer.supernet import Supernet


def compiled(net: nn.Module, images: Tensor) -> tuple[Any, float]:
    """Return a compiled network, and the seconds until its first output, less those of a second one."""
    torch.compiler.reset()
    fast = torch.compile(net)
    with torch.inference_mode():
        start = time.perf_counter()
        found = fast(images)
        middle = time.perf_counter()
        fast(images)
        end = time.perf_counter()
        torch.testing.assert_close(found, net(images), rtol=1e-2, atol=1e-3 if images.dtype == torch.float32 else 0.1)
    return fast, (middle - start) - (end - middle)


def rates(net: nn.Module, fast: Any, images: Tensor, passes: int) -> tuple[float, float]:
    """Return images a second without and with, in turn so that drift hits both."""
    with torch.inference_mode():
        seconds = rounds(passes, plain=lambda: net(images), fast=lambda: fast(images))
    return len(images) / Spread.of(seconds["plain"]).median, len(images) / Spread.of(seconds["fast"]).median


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--passes", type=int, default=20, help="over a batch, for each rate")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true")
    arguments = parser.parse_args()
    if shutil.which("g++") is None:
        print("skipped: torch.compile needs g++ on a CPU, and there is none")
        return
    torch.set_num_threads(arguments.threads)
    space = load_space("fashion-mnist")
    architecture = space.feasible(params=300e3).sample(1, seed=0)[0]
    dtype = torch.bfloat16 if arguments.bfloat16 else torch.float32
    net = Supernet(space, seed=0).extract(architecture).eval().to(dtype)
    images = torch.randn(arguments.batch_size, 1, 28, 28, generator=torch.Generator().manual_seed(0)).to(dtype)
    print(f"{machine('torch', 'nasformer')}, {arguments.threads} threads, {dtype}, batches of {len(images)}")
    print(f"{architecture}: {space.params(architecture):,} parameters")
    for _ in range(arguments.rounds):
        fast, took = compiled(net, images)
        plain, quick = rates(net, fast, images, arguments.passes)
        saved = 1 / plain - 1 / quick
        pays = f"pays from {math.ceil(took / saved):,} images" if saved > 0 else "never pays"
        print(
            f"compiled in {took:.1f} s; images/s without {plain:,.0f}, with {quick:,.0f} ({quick / plain:.2f} times); "
            f"{pays}",
            flush=True,
        )


if __name__ == "__main__":
    main()
