"""Is a search worth its compute? Train a supernet, diagnose it, and keep the page and its tables.

    python benchmarks/diagnosis.py cifar10 --out runs/diagnosis --workers 2 --write

``cifar10`` comes from ``--images`` or from the archives in ``NASFORMER_REFERENCE``, ``fashion-mnist`` from Debian's
package. The recipes are ``benchmarks/recipes/NAME.yaml``, where a network alone has batches and a learning rate of its
own. Every training resumes: the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks import _cifar10
from benchmarks._equal_compute import PIECES, EqualComputePlan
from benchmarks._marks import markdown, put
from nasformer.data import Dataset, load_dataset
from nasformer.diagnose import diagnose, write_diagnosis_report
from nasformer.diagnose.page import claims_table
from nasformer.errors import NasformerError
from nasformer.space import load_space
from nasformer.supernet import Supernet
from nasformer.tasks import task_of
from nasformer.training import Recipe, train_supernet

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "how-to" / "diagnose.md"
ALONE = {"sampling": "uniform", "budget": None, "batch_size": 64, "learning_rate": 2e-3, "epochs": 5}
FINETUNING = {**ALONE, "warmup_epochs": 0}
BUDGETS = {"cifar10": (1.0e6, 1.7e6, 2.8e6, 4.8e6, 8.0e6), "fashion-mnist-wide": (0.5e6, 0.84e6, 1.4e6, 2.4e6, 4.0e6)}
SIZES: dict[str, Any] = {"search_images": 1000, "share": 3.0, "epochs": 9}

JsonObject = dict[str, Any]


def load(name: str, folder: Path, images: Path | None) -> Dataset:
    """Return the dataset of a space."""
    return _cifar10.load(folder, images) if name == "cifar10" else load_dataset("fashion-mnist", root=images)


def plan(name: str, recipe: Recipe, pieces: Sequence[str], seeds: int) -> EqualComputePlan:
    """Return the plan of a diagnosis."""
    return EqualComputePlan(
        recipe=recipe.replace(**ALONE).to_dict(),
        finetuning=recipe.replace(**FINETUNING).to_dict(),
        budgets=tuple({"macs": macs} for macs in BUDGETS[name]),
        seeds=seeds,
        pieces=tuple(pieces),
        **SIZES,
    )


def trained(name: str, data: Dataset, recipe: Recipe, out: Path) -> Supernet:
    """Return the supernet, trained, or trained further to its end."""
    folder = out / "supernet"
    net = Supernet(load_space(name), seed=recipe.seed)
    train_supernet(net, data, recipe, out=folder, resume=folder.exists(), device="cpu", keep=False)
    return net


def tables(found: JsonObject) -> dict[str, str]:
    """Return the tables of a diagnosis by the name of their place."""
    name = found["space"]["name"]
    shown = claims_table(found["pieces"], task_of(found["data"]).objective(), PIECES)
    told = {f"{name} claims": markdown(shown.header, shown.rows)}
    if "compute" in found["pieces"]:
        told[f"{name} compute"] = compute(found["pieces"]["compute"])
    return told


def compute(piece: JsonObject) -> str:
    """Return the accuracies at equal compute: a row per kind of network, a column per budget, means over seeds."""
    columns = [f"{row['budget']['macs'] / 1e6:g} M" for row in piece["rows"]]
    names = dict.fromkeys(entry["name"] for row in piece["rows"] for entry in row["networks"])
    cells: dict[str, list[str]] = {name: [] for name in names}
    for row in piece["rows"]:
        known = {entry["name"]: entry["test"] for entry in row["networks"]}
        for name in names:
            scores = known.get(name)
            cells[name].append(f"{sum(scores) / len(scores):.1f}" if scores else "–")
    return markdown(["network", *columns], [[name, *own] for name, own in cells.items()])


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and diagnose what is missing, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("space", choices=sorted(BUDGETS))
    parser.add_argument("--out", type=Path, default=Path("runs/diagnosis"))
    parser.add_argument("--images", type=Path, help="folder of the images")
    parser.add_argument("--piece", action="append", choices=list(PIECES), help="default: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="keep it in results/ and docs/how-to/diagnose.md")
    given = parser.parse_args(arguments)
    out = given.out / given.space
    try:
        torch.set_num_threads(1)
        data, recipe = load(given.space, given.out, given.images), Recipe.load(HERE / "recipes" / f"{given.space}.yaml")
        net = trained(given.space, data, recipe, out)
        size = plan(given.space, recipe, given.piece or list(PIECES), given.seeds)
        found = diagnose(net, data, size, out, workers=given.workers, device="cpu", pieces=PIECES)
        command = f"python benchmarks/diagnosis.py {given.space}"
        page = write_diagnosis_report(out, found, command=command, pieces=PIECES)
        told = tables(found)
        if given.write:
            shutil.copy(page, HERE / "results" / f"diagnosis-{given.space}.html")
            (HERE / "results" / f"diagnosis-{given.space}.json").write_text(json.dumps(found, indent=1) + "\n")
            for name, table in told.items():
                put(DOCUMENT, name, table)
    except NasformerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(told.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
