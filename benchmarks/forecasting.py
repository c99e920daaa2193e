"""Forecasting of ETTh1 and ETTh2: searched architectures against PatchTST's own shape, trained alike.

For every dataset and horizon one supernet is trained, and searched by the squared error on the validation part, with no
more parameters than PatchTST's shape (Nie et al., ICLR 2023: 3 layers, width 16, 4 heads, MLP 128, patches of 16 at
stride 8), for networks of 0, 1, 2 and more branches. The best two of each search are trained alone, and the best of
them by the validation part is the winner. Winner and PatchTST's shape are then trained from scratch with the same
recipe and three further seeds. Nothing is chosen by the test part. Every training and search is a file of the folder;
the same command resumes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import mean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

import nasformer as nf
from benchmarks._marks import markdown, put
from nasformer._provenance import machine, versions
from nasformer.architecture import Architecture, uniform
from nasformer.cost import AdditiveCost
from nasformer.data import Dataset
from nasformer.data.series import load_series
from nasformer.errors import NasformerError
from nasformer.fitness import InheritedFitness
from nasformer.supernet import Supernet, VisionTransformer
from nasformer.supernet.checkpoint import replace_file
from nasformer.tasks import get_task
from nasformer.training import train_subnet
from nasformer.training.supernet import FILE

RESULT = Path(__file__).parent / "results" / "forecasting.json"
PAGE = Path(__file__).parent.parent / "docs" / "results.md"
DATASETS, HORIZONS, LENGTH = ("ETTh1", "ETTh2"), (96, 192, 336, 720), 336
SPLITS = (8640, 2880, 2880)
"""Rows of 12, 4 and 4 months, as in the papers."""

PATCHTST = uniform(embed_dim=16, depth=3, num_heads=4, mlp_ratio=8)
RECIPE = nf.Recipe.for_dataset("series", get_task("forecasting")(96)).replace(epochs=2)
EVALUATIONS, CONFIRMED, SEEDS = 40, 2, (0, 1, 2)
BRANCHES = ((0, 0), (1, 1), (2, 2), (3, None))
"""Attention and MLP branches of a network: one search for each range, as shared weights compare them poorly."""

Row = dict[str, Any]


def space_of(horizon: int, params: int) -> nf.SearchSpace:
    """Return the searched space under the parameters of PatchTST's shape: patches that do not overlap."""
    declared = nf.load_space("series-96").to_dict()
    return nf.SearchSpace.from_dict({**declared, "num_classes": horizon, "constraints": {"params": params}})


def patchtst_space(horizon: int) -> nf.SearchSpace:
    """Return a space that holds PatchTST's own shape."""
    sizes: dict[str, Any] = {"embed_dim": 16, "depth": 3, "num_heads": 4, "mlp_ratio": 8, "head_dim": 4}
    series = nf.Series(LENGTH, 16, stride=8, instance_norm=True)
    return nf.SearchSpace("patchtst", series=series, num_classes=horizon, pooling="flatten", max_distance=None, **sizes)


def search(space: nf.SearchSpace, data: Dataset, folder: Path, epochs: int) -> Row:
    """Train a supernet and search it; return the best candidate trained alone, by the validation part."""
    net, recipe = Supernet(space), RECIPE.replace(epochs=epochs)
    training = nf.train_supernet(net, data, recipe, out=folder, resume=True, device="cpu", progress=False)
    fitness = InheritedFitness(Supernet.load(folder / FILE), data.search, device="cpu", racing={"first": 2000})
    found = [trial for bounds in BRANCHES for trial in best_with(bounds, space, fitness, folder)]
    errors = [confirm(trial.architecture, space, data) for trial in found]
    best = found[min(range(len(found)), key=errors.__getitem__)]
    return {
        "architecture": best.architecture.to_dict(),
        "params": int(best.costs["params"]),
        "macs": int(best.costs["macs"]),
        "inherited": [-float(trial.value or 0) for trial in found],
        "alone": errors,
        "candidates": [str(trial.architecture) for trial in found],
        "supernet_seconds": training.seconds,
    }


def best_with(
    branches: tuple[int, int | None], space: nf.SearchSpace, fitness: InheritedFitness, folder: Path
) -> list[nf.Trial]:
    """Search under a number of branches, and return the confirmed best few."""
    cost = AdditiveCost(
        "branches", lambda network: 0, lambda network, layer: int(layer.num_heads > 0) + int(layer.hidden_dim > 0)
    )
    found = nf.Searcher(space.with_cost(cost), "thompson", fitness).run(
        {"branches": branches},
        evaluations=EVALUATIONS,
        batch_size=10,
        storage=folder / "study.log",
        study=f"{branches[0]} branches",
        progress=False,
    )
    return sorted(found.confirmed, key=lambda trial: trial.rank)[:CONFIRMED]


def confirm(architecture: Architecture, space: nf.SearchSpace, data: Dataset) -> float:
    """Train an architecture from scratch, with a seed of its own, and return its error on the validation part."""
    net = VisionTransformer(space.geometry, architecture, pooling=space.pooling, seed=SEEDS[-1] + 1)
    recipe = RECIPE.replace(seed=SEEDS[-1] + 1)
    return train_subnet(net, data, recipe, device="cpu", progress=False).validation["network"]["mse"]


def alone(architecture: Architecture, space: nf.SearchSpace, data: Dataset, seed: int, folder: Path) -> Row:
    """Train an architecture from scratch, and return its errors on the validation and the test part."""
    recipe = RECIPE.replace(seed=seed)
    done = nf.retrain(architecture, space, data, recipe, out=folder, resume=True, device="cpu", progress=False)
    test = done.figures["test"]
    return {
        "validation": done.training.validation["network"]["mse"],
        "mse": test["mse"],
        "mae": test["mae"],
        "params": done.figures["params"],
        "seconds": done.training.seconds,
    }


def kept(folder: Path, make: Any) -> Row:
    """Return the result of a job, made once."""
    file = folder / "result.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_file(file, json.dumps(make(), indent=1) + "\n")
        for state in folder.glob("*.pt"):
            state.unlink()
    found: Row = json.loads(file.read_text(encoding="utf-8"))
    print(f"{folder}: { ({k: round(v, 4) for k, v in found.items() if isinstance(v, float)}) }", flush=True)
    return found


def task(name: str, horizon: int, reference: Path, folder: Path, epochs: int) -> Row:
    """Return what was found on one dataset and horizon."""
    data = load_series(reference / f"{name}.csv", length=LENGTH, horizon=horizon, splits=SPLITS)
    rival = patchtst_space(horizon)
    space, place = space_of(horizon, rival.params(PATCHTST)), folder / f"{name}-{horizon}"
    found = kept(place / "search", lambda: search(space, data, place / "search", epochs))
    winner = Architecture.from_dict(found["architecture"])
    pairs = {"searched": (winner, space), "patchtst": (PATCHTST, rival)}
    trained: dict[str, list[Row]] = {}
    for (label, (shape, own)), seed in product(pairs.items(), SEEDS):
        at = place / f"{label}-{seed}"
        row = kept(at, lambda: alone(shape, own, data, seed, at))  # noqa: B023 (called at once)
        trained.setdefault(label, []).append(row)
    return {"dataset": name, "horizon": horizon, "search": found, **trained}


def shown(rows: Sequence[Row]) -> str:
    """Return the table of test errors."""
    cells = []
    for row in rows:
        own, rival = ([each["mse"] for each in row[key]] for key in ("searched", "patchtst"))
        spread = [f"{mean(each):.3f} ({min(each):.3f}–{max(each):.3f})" for each in (own, rival)]
        sizes = [f"{row[key][0]['params']:,}" for key in ("searched", "patchtst")]
        found = Architecture.from_dict(row["search"]["architecture"])
        branches = sum(map(bool, (*found.num_heads, *found.mlp_ratio)))
        cells.append([row["dataset"], str(row["horizon"]), spread[0], sizes[0], str(branches), spread[1], sizes[1]])
    for name in dict.fromkeys(row["dataset"] for row in rows):
        means = [mean_of(key, [row for row in rows if row["dataset"] == name]) for key in ("searched", "patchtst")]
        cells.append([name, "mean", f"**{means[0]:.3f}**", "", "", f"{means[1]:.3f}", ""])
    header = ["", "horizon", "searched: test MSE", "parameters", "branches", "PatchTST's shape: test MSE", "parameters"]
    return markdown(header, cells)


def mean_of(label: str, rows: Sequence[Row]) -> float:
    """Return the mean test error over horizons and seeds."""
    return float(mean(mean(each["mse"] for each in row[label]) for row in rows))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, print the table, and write it with ``--write``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/forecasting"))
    parser.add_argument("--reference", type=Path, default=Path(os.environ.get("NASFORMER_REFERENCE", "../shared")))
    parser.add_argument("--datasets", nargs="*", default=DATASETS)
    parser.add_argument("--horizons", nargs="*", type=int, default=HORIZONS)
    parser.add_argument("--epochs", type=int, default=5, help="of the supernet")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="write the result and the table of docs/results.md")
    asked = parser.parse_args(arguments)
    torch.set_num_threads(asked.threads)
    try:
        pairs = list(product(asked.datasets, asked.horizons))
        rows = [task(*pair, asked.reference / "series", asked.folder, asked.epochs) for pair in pairs]
    except NasformerError as error:
        print(error, file=sys.stderr)
        return 2
    print(shown(rows))
    if asked.write:
        record = {"rows": rows, "recipe": RECIPE.to_dict(), "machine": machine(), "versions": versions()}
        RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        put(PAGE, "forecasting", shown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
