"""The winner of a diagnosis before and after fine-tuning and distillation, against plain ViTs trained alike.

The winner, the uniform ViT of nearest cost, and both trained alone with several seeds are the diagnosis's
(``nasformer diagnose``). Added here, with the same seeds: the winner fine-tuned from inherited weights without and with
a teacher, and a timm ViT of the nearest number of parameters, trained by the same recipe. Each training is kept in the
folder of the diagnosis and goes on after a stop. Where ``--seed`` is given, that seed alone is trained, so that two
processes can share the work; the table is of what is there.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from timm.models.vision_transformer import VisionTransformer as PlainTransformer

from nasformer.architecture import Architecture
from nasformer.cost import Geometry
from nasformer.data import Dataset, load_dataset
from nasformer.diagnose.intervals import mean_of
from nasformer.supernet import Supernet
from nasformer.supernet.checkpoint import replace_file
from nasformer.training import Recipe, evaluate, finetune, load_teacher, train_subnet

RESULT = Path(__file__).parent / "results" / "winner.json"
WALK = Path(__file__).parent.parent / "docs" / "walk.md"
MARKS = re.compile(r"(<!-- winner -->\n).*?(<!-- /winner -->)", re.DOTALL)

Row = dict[str, Any]
Train = Callable[[int, Path], float]


def plain_vit(geometry: Geometry, params: int) -> PlainTransformer:
    """Return the timm ViT with the parameters nearest to ``params``: heads as wide as ours, an MLP ratio of 4."""
    images: Row = {"img_size": geometry.image_size, "patch_size": geometry.patch_size}
    fixed: Row = {**images, "in_chans": geometry.in_channels, "num_classes": geometry.num_classes}
    near: tuple[int, Row] | None = None
    for depth, heads in product(range(2, 13), range(1, 9)):
        sizes: Row = {"embed_dim": heads * geometry.head_dim, "depth": depth, "num_heads": heads}
        distance = abs(size_of(PlainTransformer(**fixed, **sizes)) - params)
        near = (distance, sizes) if near is None or distance < near[0] else near
    assert near is not None
    return PlainTransformer(**fixed, **near[1])


def size_of(net: PlainTransformer) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in net.parameters())


def trainings(found: Row, data: Dataset, teacher: str | None) -> dict[str, Train]:
    """Return what is trained here, by name: a function of the seed and a folder that returns the test accuracy."""
    net = Supernet.load(found["supernet"]["file"])
    winner = net.extract(Architecture.from_dict(found["pieces"]["winner"]["rows"][0]["architecture"]))
    tuning, alone = Recipe(**found["finetuning"]), Recipe(**found["recipe"])
    options: Row = {"resume": True, "device": "cpu", "progress": False}

    def tuned(seed: int, out: Path) -> float:
        result = finetune(winner, data, tuning.replace(seed=seed), out=out, **options)
        return float(result.figures["test"]["accuracy"])

    def distilled(seed: int, out: Path) -> float:
        assert teacher is not None
        recipe = tuning.replace(seed=seed, distillation="soft")
        kept = load_teacher(teacher, num_classes=data.num_classes)
        result = finetune(winner, data, recipe, teacher=kept, out=out, **options)
        return float(result.figures["test"]["accuracy"])

    def timm(seed: int, out: Path) -> float:
        import torch

        torch.manual_seed(seed)
        plain = plain_vit(net.space.geometry, found["pieces"]["winner"]["rows"][0]["params"])
        train_subnet(plain, data, alone.replace(seed=seed), out=out, **options)
        return evaluate(plain, data.test).accuracy

    return {"fine-tuned": tuned, **({"distilled": distilled} if teacher else {}), "timm ViT": timm}


def done(folder: Path, name: str, seed: int, train: Train | None) -> float | None:
    """Return a test accuracy, trained now where it is not yet there and ``train`` is given."""
    place = folder / "winner" / f"{name.replace(' ', '-')}-{seed}"
    kept = place / "accuracy.json"
    if not kept.exists() and train is not None:
        replace_file(kept, json.dumps(train(seed, place)).encode())
        print(f"{name}, seed {seed}: {kept.read_text()} %", flush=True)
    return float(json.loads(kept.read_text())) if kept.exists() else None


def table(found: Row, accuracies: dict[str, list[float]]) -> list[Row]:
    """Return the rows of the table."""
    best, plain = found["pieces"]["winner"]["rows"]
    timm = plain_vit(Supernet.load(found["supernet"]["file"]).space.geometry, best["params"])
    tuned, alone = found["finetuning"]["epochs"], found["recipe"]["epochs"]
    told = {
        "winner, inherited": (best["params"], 0, [best["inherited"]]),
        "winner, fine-tuned": (best["params"], tuned, accuracies["fine-tuned"]),
        "winner, fine-tuned with a teacher": (best["params"], tuned, accuracies.get("distilled", [])),
        "winner, from scratch": (best["params"], alone, best["retrained"]),
        "uniform ViT of the space, from scratch": (plain["params"], alone, plain["retrained"]),
        "timm ViT, from scratch": (size_of(timm), alone, accuracies["timm ViT"]),
    }
    return [
        {"name": name, "params": params, "epochs": epochs, "accuracies": list(scores), "mean": mean_of(scores)}
        for name, (params, epochs, scores) in told.items()
        if scores
    ]


def markdown(rows: Sequence[Row]) -> str:
    """Return the rows as a table of Markdown."""
    lines = [
        "| network | parameters | epochs of its own | test accuracy % by seed | mean (95 %) |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        scores = ", ".join(f"{score:.2f}" for score in row["accuracies"])
        mean = row["mean"]
        ends = "" if mean["low"] is None else f" ({mean['low']:.2f}–{mean['high']:.2f})"
        lines.append(f"| {row['name']} | {row['params']:,} | {row['epochs']} | {scores} | {mean['value']:.2f}{ends} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("diagnosis", type=Path, help="folder of nasformer diagnose, with its piece winner")
    parser.add_argument("--teacher", help="a .safetensors of ours; without, nothing is distilled")
    parser.add_argument("--seed", type=int, action="append", help="train this seed alone; several times for several")
    parser.add_argument("--write", action="store_true", help=f"keep it in {RESULT.name} and in docs/{WALK.name}")
    arguments = parser.parse_args()
    found = json.loads((arguments.diagnosis / "diagnosis.json").read_text())
    data = load_dataset(found["data"]["name"], seed=found["data"]["seed"])
    seeds = range(found["sizes"]["retrainings"])
    accuracies: dict[str, list[float]] = {}
    for name, train in trainings(found, data, arguments.teacher).items():
        mine = {seed: train if seed in (arguments.seed or seeds) else None for seed in seeds}
        scores = [done(arguments.diagnosis, name, seed, todo) for seed, todo in mine.items()]
        accuracies[name] = [score for score in scores if score is not None]
    rows = table(found, accuracies)
    print(markdown(rows))
    if arguments.write:
        record = {"machine": found["machine"], "versions": found["versions"], "rows": rows}
        RESULT.write_text(json.dumps(record, indent=1) + "\n")
        WALK.write_text(MARKS.sub(lambda marks: marks[1] + markdown(rows) + marks[2], WALK.read_text()))


if __name__ == "__main__":
    main()
