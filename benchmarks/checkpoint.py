"""Cutting a trained vision transformer: ours, uniform cutting, random networks, and Torch-Pruning, in one run.

The checkpoint is a plain ViT of timm, trained on CIFAR-10 (``checkpoint.py pretrain``). Its user has some photos that
it has not seen, and cuts it to 75, 60, 50 and 35 % of its multiply-accumulates. All methods see the same photos, and
all networks get the same fine-tuning on them, with the checkpoint as teacher. Test images judge alone. A killed run
goes on with what is missing.

    torchrun --nproc-per-node 2 benchmarks/checkpoint.py pretrain --images CIFAR10
    python benchmarks/checkpoint.py --images CIFAR10 --write

Without ``--images`` the archives in ``NASFORMER_REFERENCE`` are unpacked. Torch-Pruning gets an environment of its own
under ``--out``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks._checkpoint import cutting, images, pretraining, table, tuning
from nasformer._io import write_file
from nasformer._provenance import processor, versions
from nasformer.errors import NasformerError

RESULT = Path(__file__).parent / "results" / "checkpoint.md"
FRACTIONS = (0.5, 0.35, 0.6, 0.75)

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What all networks of a run have in common.

    Attributes:
        folder: Of the checkpoint, its images and what is exchanged.
        photos: Photos of the fine-tuning.
        seen: Photos that importance, search and repair see.
        fractions: Budgets, of the checkpoint's multiply-accumulates.
    """

    folder: Path
    photos: int
    seen: int
    fractions: tuple[float, ...]

    @cache  # noqa: B019 - a worker process has one plan
    def splits(self) -> images.Splits:
        """Return the images."""
        torch.set_num_threads(1)
        return images.load(Path(), self.folder / "images.pt")

    @cache  # noqa: B019
    def bench(self, seed: int) -> cutting.Bench:
        """Return the checkpoint and the photos that methods see; the seed draws these."""
        photos = self.splits().photos[: self.photos]
        order = torch.randperm(len(photos), generator=torch.Generator().manual_seed(seed))
        model, pruning = pretraining.load(self.folder), self.folder / "torch-pruning"
        return cutting.Bench(model, photos[order[: self.seen]], seed, pruning, self.folder / "exchange")


@dataclass(frozen=True)
class Search:
    """Our search of a seed for all budgets."""

    plan: Plan
    seed: int

    @property
    def name(self) -> str:
        """Its key among the rows."""
        return f"search of seed {self.seed}, {self.plan.seen} photos"

    def row(self) -> Row:
        """Search."""
        return {"name": self.name, "searched": cutting.search(self.plan.bench(self.seed), self.plan.fractions)}


@dataclass(frozen=True)
class Cell:
    """One network: a method, a budget and a seed.

    Attributes:
        plan: The rest.
        method: One of ``cutting.METHODS``.
        fraction: Of the checkpoint's multiply-accumulates.
        seed: Sets the photos that methods see, searches, random networks, and the order of fine-tuning.
        searched: What our search found.
    """

    plan: Plan
    method: str
    fraction: float
    seed: int
    searched: Row = field(default_factory=dict, compare=False)

    @property
    def name(self) -> str:
        """Its key among the rows."""
        plan = self.plan
        return f"{self.method} to {self.fraction:.0%}, seed {self.seed}, {plan.seen} of {plan.photos} photos"

    def row(self) -> Row:
        """Cut, judge, fine-tune and judge again."""
        bench, splits = self.plan.bench(self.seed), self.plan.splits()
        bench.searched = self.searched
        cut = bench.cut(self.method, self.fraction)
        hits = {"cut": pretraining.hits(cut.net, splits.test)}
        if cut.repaired is not None:
            hits["repaired"] = pretraining.hits(cut.repaired, splits.test)
        photos, cache = splits.photos[: self.plan.photos], f"teacher-{self.plan.photos}-{self.seed}.pt"
        given = tuning.lessons(bench.model, photos, self.seed, self.plan.folder / cache)
        found, seconds = tuning.tune(cut.repaired or cut.net, given, splits.test)
        hits |= {str(epoch): each for epoch, each in found.items()}
        return {
            **{name: getattr(self, name) for name in ("name", "method", "fraction", "seed")},
            "macs": cut.macs / bench.macs,
            "images": len(splits.test),
            "test": {stage: 100 * each.float().mean().item() for stage, each in hits.items()},
            "seconds": {**cut.seconds, "fine-tuning": seconds},
            "what": cut.what,
            "hits": {stage: table.packed(each) for stage, each in hits.items()},
        }


def kept(log: Path) -> list[Row]:
    """Return the rows of a run so far; an incomplete last line is no row."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def run(jobs: Sequence[Search | Cell], log: Path, workers: int) -> dict[str, Row]:
    """Run the jobs that are not in ``log``, keep each there when it is done, and return the rows by name."""
    done = {row["name"]: row for row in kept(log)}
    left = [job for job in jobs if job.name not in done]
    print(f"{len(jobs) - len(left)} of {len(jobs)} are done", flush=True)
    start = time.perf_counter()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waited = [pool.submit(job.row) for job in left]
        for count, future in enumerate(as_completed(waited), 1):
            row = future.result()
            done[row["name"]] = row
            with log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            spent = time.perf_counter() - start
            print(f"{spent:.0f} s, {spent / count * (len(left) - count):.0f} s left: {_line(row)}", flush=True)
    return {job.name: done[job.name] for job in jobs}


def _line(row: Row) -> str:
    if "searched" in row:
        found = row["searched"].items()
        return f"{row['name']}: " + ", ".join(f"{name} {sum(e['seconds'].values()):.0f} s" for name, e in found)
    test = ", ".join(f"{stage} {value:.2f}" for stage, value in row["test"].items())
    seconds = ", ".join(f"{name} {value:.0f} s" for name, value in row["seconds"].items())
    return f"{row['name']} ({row['macs']:.1%} of MACs): {test}; {seconds}"


def compare(plan: Plan, methods: Sequence[str], seeds: int, workers: int) -> list[Row]:
    """Return the rows of all networks: our searches first, then budget by budget."""
    log, searches = plan.folder / "rows.jsonl", [Search(plan, seed) for seed in range(seeds)]
    found = run(searches, log, workers) if table.OURS in methods else {}
    searched = [found[each.name]["searched"] if found else {} for each in searches]
    rows: list[Row] = []
    for fraction in plan.fractions:
        grid = product(range(seeds), methods)
        rows += run([Cell(plan, name, fraction, seed, searched[seed]) for seed, name in grid], log, workers).values()
    return rows


def told(rows: Sequence[Row], plan: Plan) -> str:
    """Return the page of a run."""
    known = json.loads((plan.folder / "checkpoint.json").read_text(encoding="utf-8"))
    shape, first = known["shape"], rows[0]
    packages = ", ".join(f"{name} {each}" for name, each in versions("timm").items() if name in ("torch", "timm"))
    seeds = len({row["seed"] for row in rows})
    return (
        f"The checkpoint: {shape['depth']} layers of {shape['embed_dim']} channels and {shape['num_heads']} heads, "
        f"patches of {shape['patch_size']} pixels, {known['test']:.1f} % of the test images right. Importance, search "
        f"and repair saw {plan.seen:,} photos, the fine-tuning {plan.photos:,}. Test accuracy in percent on "
        f"{first['images']:,} images, means of {seeds} seeds; processor seconds of one thread each; {processor()}, "
        f"{packages}.\n\n"
        f"{table.table(rows)}\n"
        "Ours less the best rival at that stage, in points, with 95 % intervals: bootstrap over test images; t over "
        f"seeds.\n\n{table.differences(rows)}"
    )


def source(given: Path | None, folder: Path) -> Path:
    """Return the folder of the images.

    Raises:
        NasformerError: There are none.
    """
    if given is not None:
        return given
    archives = Path(os.environ.get("NASFORMER_REFERENCE", "../shared")) / "images"
    if not (archives / "cifar10-train.tar.xz").is_file():
        raise NasformerError(f"{archives} has no cifar10-train.tar.xz; give --images FOLDER", archives)
    return images.unpacked(archives, folder / "cifar10")


def main(arguments: Sequence[str] | None = None) -> int:
    """Pretrain or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", nargs="?", choices=["pretrain", "compare"], default="compare")
    parser.add_argument("--images", type=Path, help="CIFAR-10 as train/CLASS/FILE and test/CLASS/FILE")
    parser.add_argument("--out", type=Path, default=Path("runs/checkpoint"), help="where everything is kept")
    parser.add_argument("--epochs", type=int, default=16, help="of pretraining")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fractions", type=float, nargs="+", default=FRACTIONS)
    parser.add_argument("--methods", nargs="+", default=list(cutting.METHODS), choices=list(cutting.METHODS))
    parser.add_argument("--photos", type=int, default=5000, help=f"of the fine-tuning, at most {images.PHOTOS:,}")
    parser.add_argument("--seen", type=int, default=1024, help="photos that importance, search and repair see")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread")
    parser.add_argument("--write", action="store_true", help=f"keep the tables in {RESULT.name}")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    try:
        splits = images.load(source(given.images, given.out), given.out / "images.pt")
    except NasformerError as error:
        print(f"skipped: {error}")
        return 0
    if given.step == "pretrain" or not (given.out / "checkpoint.pt").is_file():
        pretraining.pretrain(splits, given.out, given.epochs)
    if given.step == "pretrain":
        return 0
    cutting.environment(given.out / "torch-pruning")
    (given.out / "exchange").mkdir(exist_ok=True)
    plan = Plan(given.out, given.photos, given.seen, tuple(given.fractions))
    page = told(compare(plan, given.methods, given.seeds, given.workers), plan)
    print(page)
    if given.write:
        write_file(RESULT, page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
