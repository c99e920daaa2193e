"""What ``nasformer fit`` makes of CIFAR-10 within a latency and some hours, against a ViT trained alone as long.

    python benchmarks/fit.py --hours 1 --latency 1

The rival has the shape of DeiT-tiny: twelve layers of three heads, the widest that keeps the latency, with the default
recipe. Both parts are resumed, and may run beside each other (``--part``); then the table is printed, with
the latencies of both files in the same rounds. Images as of ``benchmarks/diagnosis.py``.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import nasformer as nf
from benchmarks._checkpoint.images import unpacked
from benchmarks._marks import markdown
from nasformer.data import Dataset
from nasformer.errors import NasformerError
from nasformer.export import export, open_model
from nasformer.export.measure import latencies
from nasformer.latency import measure_deployed
from nasformer.space import choice, per_layer
from nasformer.supernet import VisionTransformer
from nasformer.training import FinetuneResult, default_recipe, retrain, train_subnet
from nasformer.training.compute import for_images
from nasformer.training.pace import seconds_per_image

HEADS, DEPTH, RATIO, PATCH = 3, 12, 4, 4
HEAD_DIMS = (64, 56, 48, 40, 32, 24, 16, 8)


def images(given: Path | None, out: Path) -> Path:
    """Return the folder of the images, unpacked if it is not given."""
    archives = Path(os.environ.get("NASFORMER_REFERENCE", "../shared")) / "images"
    if given is None and not (archives / "cifar10-train.tar.xz").is_file():
        raise NasformerError(f"there are no archives in {archives}; give --images or NASFORMER_REFERENCE", archives)
    return given or unpacked(archives, out)


def shaped(data: Dataset, latency_ms: float) -> nf.SearchSpace:
    """Return the space of the one network of DeiT-tiny's shape that is widest within a latency."""
    spaces = [
        nf.SearchSpace(
            "deit-tiny",
            embed_dim=choice(HEADS * head_dim),
            depth=choice(DEPTH),
            num_heads=per_layer(HEADS),
            mlp_ratio=per_layer(RATIO),
            head_dim=head_dim,
            patch_size=PATCH,
            image_size=data.image_size,
            in_channels=data.in_channels,
            num_classes=data.num_classes,
            max_distance=None,
        )
        for head_dim in HEAD_DIMS
    ]
    for space in spaces:
        (timing,) = measure_deployed([space.largest], geometry=space.geometry)
        if timing.median_ms <= latency_ms:
            return space
    raise NasformerError(f"no network of {DEPTH} layers takes {latency_ms} ms; give more --latency", latency_ms)


def alone(photos: Path, latency_ms: float, hours: float, out: Path) -> FinetuneResult:
    """Train and export the rival."""
    data = nf.load_dataset(f"imagefolder:{photos}", image_size=32)
    folder = out / "alone"
    how: dict[str, Any] = {"device": "cpu", "readers": 0}
    file = folder / "space.yaml"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        shaped(data, latency_ms).save(file)
    space, recipe = nf.load_space(file), default_recipe(data, "cpu")
    if not (folder / "recipe.yaml").is_file():
        net = VisionTransformer(space.geometry, space.largest)
        pace = seconds_per_image(train_subnet, net, data, recipe, **how)
        recipe = for_images(recipe, 3600 * hours / pace, len(data.train))
        recipe.replace(validate_every=recipe.epochs).save(folder / "recipe.yaml")
    recipe, trained = nf.Recipe.load(folder / "recipe.yaml"), folder / "network"
    found = retrain(space.largest, space, data, recipe, out=trained, resume=trained.is_dir(), **how)
    if not (folder / "onnx").is_dir():
        export(found.net, data, folder / "onnx", format="onnx")
    return found


def fitted(photos: Path, latency_ms: float, hours: float, out: Path) -> nf.FitResult:
    """Run ``fit``."""
    return nf.fit(photos, latency_ms=latency_ms, hours=hours, out=out / "fit", image_size=32, device="cpu")


def table(found: nf.FitResult, rival: FinetuneResult, out: Path) -> str:
    """Return the comparison, with the latencies of both files in the same rounds."""
    (model,), folder = found.models, out / "alone" / "onnx"
    files = {"nasformer fit": model.file, "DeiT-tiny's shape, alone": folder / "model.onnx"}
    timed = latencies({name: open_model(file) for name, file in files.items()}, batch_sizes=(1,))
    known = zip(files.items(), (model.test, rival.figures["test"]), (model.costs, rival.figures), strict=True)
    rows = [
        [
            name,
            f"{test['accuracy']:.2f}",
            f"{costs['params'] / 1e6:.2f} M",
            f"{costs['macs'] / 1e6:.1f} M",
            f"{timed[name][0]['median_ms']:.2f}",
            f"{file.stat().st_size / 1e6:.1f} MB",
        ]
        for (name, file), test, costs in known
    ]
    columns = ["network", "test %", "parameters", "MACs", "ms of the file", "file"]
    return f"{markdown(columns, rows)}\nfit measured {model.measured_ms:.2f} ms.\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--latency", type=float, default=1.0, help="milliseconds per image")
    parser.add_argument("--images", type=Path, help="folder of the images")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark-fit"))
    parser.add_argument("--part", choices=("fit", "alone"), help="default: both, and the table")
    given = parser.parse_args(arguments)
    try:
        photos, how = images(given.images, given.out), (given.latency, given.hours, given.out)
        found = None if given.part == "alone" else fitted(photos, *how)
        rival = None if given.part == "fit" else alone(photos, *how)
    except NasformerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if found is not None and rival is not None:
        print(table(found, rival, given.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
