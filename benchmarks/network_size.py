"""Which size of network is best for a given compute? Uniform ViTs of several sizes, each trained alone with all of it.

    python benchmarks/network_size.py fashion-mnist-wide --macs 1.65e12

The recipe is that of networks alone in ``benchmarks/diagnosis.py``, as are the images.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks._marks import markdown
from benchmarks.diagnosis import ALONE, BUDGETS, HERE, load
from nasformer.errors import NasformerError
from nasformer.space import load_space
from nasformer.training import Recipe, retrain
from nasformer.training.compute import for_compute


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("space", choices=sorted(BUDGETS))
    parser.add_argument("--macs", type=float, default=1.65e12, help="multiply-accumulates of each training")
    parser.add_argument("--budget", type=float, action="append", help="MACs; default: those of the diagnosis")
    parser.add_argument("--out", type=Path, default=Path("runs/network-size"))
    parser.add_argument("--images", type=Path, help="folder of the images")
    given = parser.parse_args(arguments)
    try:
        torch.set_num_threads(1)
        data, space = load(given.space, given.out, given.images), load_space(given.space)
        recipe = Recipe.load(HERE / "recipes" / f"{given.space}.yaml").replace(**ALONE)
        rows = []
        for budget in given.budget or BUDGETS[given.space]:
            network = space.feasible(macs=budget).largest_uniform()
            lasting = for_compute(recipe, given.macs, space.macs(network), len(data.train))
            folder = given.out / f"{given.space}-{given.macs:g}" / f"{budget:g}"
            found = retrain(network, space, data, lasting, out=folder, resume=folder.is_dir(), device="cpu")
            passes = found.training.steps * lasting.batch_size / len(data.train)
            accuracy = f"{found.figures['test']['accuracy']:.2f}"
            rows.append([f"{space.macs(network) / 1e6:.2f} M", f"{passes:.1f}", accuracy])
            print(markdown(["MACs", "passes over the train images", "test %"], rows))
    except NasformerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
