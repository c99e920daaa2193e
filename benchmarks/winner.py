"""The winner of a diagnosis before and after fine-tuning and distillation, against plain ViTs of the same recipe.

The winner and the uniform ViT of nearest cost, each trained from scratch with several seeds, come from the diagnosis
(``nasformer diagnose``, piece ``winner``). Added here, with the same seeds and in the diagnosis's folder: the winner
fine-tuned from inherited weights with and without a teacher, a timm ViT of the nearest number of parameters trained
from scratch by the same recipe, and optionally the winner trained from scratch for as many epochs as the supernet.
The same command resumes an interrupted run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from timm.models.vision_transformer import VisionTransformer as PlainTransformer

from benchmarks._marks import markdown, put
from nasformer._io import digest
from nasformer._provenance import machine, versions
from nasformer.architecture import Architecture
from nasformer.cost import Geometry
from nasformer.diagnose import Plan
from nasformer.diagnose.bench import Bench, told_of
from nasformer.diagnose.intervals import mean_of
from nasformer.diagnose.jobs import Alone, Job, JobResult, done, reseeded
from nasformer.errors import NasformerError
from nasformer.registry import open_supernet
from nasformer.space import SearchSpace
from nasformer.training import evaluate, finetune, load_teacher, train_subnet

RESULT = Path(__file__).parent / "results" / "winner.json"
WALK = Path(__file__).parent.parent / "docs" / "walk.md"
TUNED, TAUGHT = "winner, fine-tuned", "winner, fine-tuned with a teacher"
LONG, TIMM = "winner, from scratch, as long as the supernet", "ViT of timm, from scratch"

Row = dict[str, Any]


@dataclass(frozen=True)
class Taught:
    """A network that goes on from inherited weights with a teacher."""

    architecture: Architecture
    recipe: Mapping[str, Any]
    seed: int
    teacher: str

    def name(self, bench: Bench) -> str:
        """Return the name of its file."""
        teacher = load_teacher(self.teacher, num_classes=bench.data.num_classes).fingerprint
        how = [self.architecture.to_dict(), dict(self.recipe), self.seed, teacher]
        return f"taught-{digest([*how, bench.weights, bench.images])}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Fine-tune, judge, and keep the figures alone."""
        teacher = load_teacher(self.teacher, num_classes=bench.data.num_classes)
        recipe, net = reseeded(self.recipe, self.seed), bench.net.extract(self.architecture)
        options: Row = {"out": folder, "resume": True, "device": bench.device, "progress": False}
        result = finetune(net, bench.data, recipe, teacher=teacher, **options)
        return {"accuracy": result.figures["test"]["accuracy"], "seconds": result.training.seconds}


@dataclass(frozen=True)
class Plain:
    """A ViT of timm, trained alone."""

    sizes: Mapping[str, int]
    recipe: Mapping[str, Any]
    seed: int

    def name(self, bench: Bench) -> str:
        """Return the name of its file."""
        how = [dict(self.sizes), dict(self.recipe), self.seed]
        return f"timm-{digest([*how, bench.net.space.fingerprint, bench.images])}"

    def run(self, bench: Bench, folder: Path) -> JobResult:
        """Train, judge, and keep the figures alone."""
        torch.manual_seed(self.seed)
        recipe = reseeded(self.recipe, self.seed)
        net = plain_vit(bench.net.space.geometry, self.sizes, drop_path_rate=recipe.drop_path)
        options: Row = {"out": folder, "resume": True, "device": bench.device, "progress": False}
        training = train_subnet(net, bench.data, recipe, **options)
        judged = evaluate(net, bench.data.test, device=torch.device(training.device))
        return {"accuracy": judged.accuracy, "seconds": training.seconds}


def plain_vit(geometry: Geometry, sizes: Mapping[str, int], drop_path_rate: float = 0.0) -> PlainTransformer:
    """Return a ViT of timm for the same images, patches and classes."""
    images: Row = {"img_size": geometry.image_size, "patch_size": geometry.patch_size, "in_chans": geometry.in_channels}
    images |= {"num_classes": geometry.num_classes, "drop_path_rate": drop_path_rate}
    return PlainTransformer(**images, **dict[str, Any](sizes))


def nearest_sizes(geometry: Geometry, params: int) -> dict[str, int]:
    """Return the width, depth and heads of the timm ViT nearest to ``params``: heads as wide as ours, MLP ratio 4."""
    choices = [
        {"embed_dim": heads * geometry.head_dim, "depth": depth, "num_heads": heads}
        for depth, heads in product(range(2, 13), range(1, 9))
    ]
    return min(choices, key=lambda sizes: abs(size_of(plain_vit(geometry, sizes)) - params))


def size_of(net: torch.nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in net.parameters())


def open_bench(folder: Path, found: Row, root: Path | None) -> Bench:
    """Return the bench of a diagnosis.

    Raises:
        NasformerError: Its supernet or its images are no longer there, or no longer the same.
    """
    space, file, name = SearchSpace.from_dict(found["space"]), found["supernet"]["file"], found["data"]["name"]
    net, data = open_supernet(space, supernet=file, data=name, root=root)
    plan = Plan(recipe=found["recipe"], finetuning=found["finetuning"], sharing=found["sharing"])
    bench = Bench(net, data, plan, folder)
    if bench.images != told_of(found["data"]):
        raise NasformerError(f"{data.name} holds other images than {folder} was made of; give their --root", bench)
    if bench.weights != found["supernet"]["weights"]:
        raise NasformerError(f"{file} is not the supernet of {folder}; diagnose it first", bench)
    return bench


def jobs_of(found: Row, sizes: Mapping[str, int], teacher: str | None, long: int = 0) -> dict[str, list[Job]]:
    """Return the trainings of each row that is added, one a seed; ``long`` of them by the supernet's own recipe."""
    winner = Architecture.from_dict(found["pieces"]["winner"]["rows"][0]["architecture"])
    tuning, alone, seeds = found["finetuning"], found["final"], range(found["sizes"]["retrainings"])
    jobs: dict[str, list[Job]] = {TUNED: [Alone("finetune", winner, tuning, seed) for seed in seeds]}
    if teacher is not None:
        jobs[TAUGHT] = [Taught(winner, tuning, seed, teacher) for seed in seeds]
    if long:
        jobs[LONG] = [Alone("retrain", winner, _shared(found), seed) for seed in range(long)]
    return {**jobs, TIMM: [Plain(sizes, alone, seed) for seed in seeds]}


def _shared(found: Row) -> Row:
    """Return the recipe that trained the supernet."""
    recipe: Row | None = found["supernet"]["training"].get("recipe")
    if recipe is None:
        raise NasformerError(f"{found['supernet']['file']} does not say how it was trained; leave out --long", recipe)
    return recipe


def table(found: Row, sizes: Mapping[str, int], geometry: Geometry, scores: Mapping[str, list[float]]) -> list[Row]:
    """Return the rows of the table."""
    best, plain = found["pieces"]["winner"]["rows"]
    tuned, alone = found["finetuning"]["epochs"], found["final"]["epochs"]
    told = {
        "winner, inherited": (best["params"], 0, [best["inherited"]]),
        TUNED: (best["params"], tuned, scores[TUNED]),
        TAUGHT: (best["params"], tuned, scores.get(TAUGHT, [])),
        "winner, from scratch": (best["params"], alone, best["retrained"]),
        LONG: (best["params"], _shared(found)["epochs"] if LONG in scores else 0, scores.get(LONG, [])),
        "uniform ViT of the space, inherited": (plain["params"], 0, [plain["inherited"]]),
        "uniform ViT of the space, from scratch": (plain["params"], alone, plain["retrained"]),
        TIMM: (size_of(plain_vit(geometry, sizes)), alone, scores[TIMM]),
    }
    return [
        {"name": name, "params": params, "epochs": epochs, "accuracies": list(each), "mean": mean_of(each)}
        for name, (params, epochs, each) in told.items()
        if each
    ]


def shown(rows: Sequence[Row]) -> str:
    """Return the rows as a table of Markdown."""
    return markdown(
        ["network", "parameters", "retraining epochs", "test accuracy, %", "mean (95 %)"], [*map(_cells, rows)]
    )


def _cells(row: Row) -> list[str]:
    mean, scores = row["mean"], ", ".join(f"{score:.2f}" for score in row["accuracies"])
    ends = "" if mean["low"] is None else f" ({mean['low']:.2f}–{mean['high']:.2f})"
    return [row["name"], f"{row['params']:,}", str(row["epochs"]), scores, f"{mean['value']:.2f}{ends}"]


def write(rows: Sequence[Row], result: Path = RESULT, walk: Path = WALK) -> None:
    """Keep the rows, and put them into the walk.

    Raises:
        NasformerError: The walk has no place for them.
    """
    put(walk, "winner", shown(rows))
    record = {"machine": machine(), "versions": versions("timm"), "rows": rows}
    result.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("diagnosis", type=Path, help="folder of nasformer diagnose, with its piece winner")
    parser.add_argument("--teacher", help="a .safetensors of ours or timm:NAME; without, nothing is distilled")
    parser.add_argument("--long", type=int, default=0, help="seeds of the winner alone for the supernet's epochs")
    parser.add_argument("--workers", type=int, default=1, help="processes that train")
    parser.add_argument("--root", type=Path, help="where the dataset's files are")
    parser.add_argument("--write", action="store_true", help=f"keep it in {RESULT.name} and in docs/{WALK.name}")
    given = parser.parse_args(arguments)
    try:
        found = json.loads((given.diagnosis / "diagnosis.json").read_text(encoding="utf-8"))
        if "winner" not in found["pieces"]:
            raise NasformerError(f"{given.diagnosis} has no piece winner yet; run nasformer diagnose --piece winner")
        bench = open_bench(given.diagnosis, found, given.root)
        geometry = bench.net.space.geometry
        sizes = nearest_sizes(geometry, found["pieces"]["winner"]["rows"][0]["params"])
        jobs = jobs_of(found, sizes, given.teacher, given.long)
        told = done(bench, [job for row in jobs.values() for job in row], workers=given.workers, progress=True, what="")
        scores = iter(each["accuracy"] for each in told)
        rows = table(found, sizes, geometry, {name: [next(scores) for _ in row] for name, row in jobs.items()})
        if given.write:
            write(rows)
    except (NasformerError, OSError, json.JSONDecodeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(shown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
