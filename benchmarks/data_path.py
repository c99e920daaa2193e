"""Images per second of one pass over image files: one by one, decoded into an array, and from the array.

The files are crops of 256 pixels of the two photographs that scikit-learn ships, written as JPEG and as PNG into a
folder that is removed again; they are cropped to 224. Files and arrays are in the page cache. Then a network evaluates
the images: a small one, since compared with AutoFormer-T on one core decoding costs little. The last rows augment an
epoch in up to ``--readers`` processes. ``--threads`` decode; torch uses one. ``python benchmarks/data_path.py``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks._timing import Spread, machine, ratio, rounds
from nasformer.architecture import uniform
from nasformer.cost import Geometry
from nasformer.data.batches import iterate
from nasformer.data.dataset import Split
from nasformer.data.decoded import decode_once
from nasformer.data.image_files import ImageFiles, Plain
from nasformer.supernet import VisionTransformer

SIZE, CROPPED = 256, 224
BATCH = 16


def photographs(folder: Path, count: int, kind: str) -> ImageFiles:
    """Write crops of real photographs, and return them."""
    folder.mkdir()
    whole, draw = load_sample_images().images, np.random.default_rng(0)
    paths = [folder / f"{number:05d}.{kind}" for number in range(count)]
    for number, path in enumerate(paths):
        source = whole[number % len(whole)]
        top, left = (int(draw.integers(length - SIZE)) for length in source.shape[:2])
        Image.fromarray(source[top : top + SIZE, left : left + SIZE]).save(path)
    return ImageFiles([(path, 0) for path in paths], ["photograph"], Plain(CROPPED))


def pass_over(split: Split, *, prefetch: bool = False, judge: Callable[[torch.Tensor], object] | None = None) -> None:
    """Take every batch, and judge it."""
    with torch.inference_mode():
        for images, _ in iterate(split, BATCH, prefetch=prefetch):
            if judge is not None:
                judge(images)


def first_pass(files: ImageFiles, threads: int) -> None:
    """Decode into a new folder, and take every batch from there."""
    with tempfile.TemporaryDirectory() as folder:
        pass_over(decode_once(files, Path(folder), threads=threads))


def require_equal(files: Split, kept: Split) -> None:
    """Check that both give the same floats.

    Raises:
        RuntimeError: They do not.
    """
    for (own, _), (reference, _) in zip(iterate(kept, BATCH), iterate(files, BATCH), strict=True):
        if not torch.equal(own, reference):
            raise RuntimeError("the array's images are not those of the files")


def passes(files: ImageFiles, kept: Split, threads: int, repeats: int) -> Iterator[str]:
    """Yield a line for each way to pass over the images, with its ratio to the files one by one."""
    seconds = rounds(
        repeats,
        files=lambda: pass_over(files),
        one=lambda: first_pass(files, 1),
        several=lambda: first_pass(files, threads),
        array=lambda: pass_over(kept),
    )
    names = {"files": "file by file", "one": "first pass, 1 thread", "several": f"first pass, {threads} threads"}
    for key, values in seconds.items():
        yield line(names.get(key, "later passes"), len(files), values, seconds["files"])


def judged(files: ImageFiles, kept: Split, repeats: int) -> Iterator[str]:
    """Yield a line for each way to have images judged."""
    net = VisionTransformer(Geometry(patch_size=32, num_classes=10), uniform(128, 4, 2, 2)).eval()
    seconds = rounds(
        repeats,
        files=lambda: pass_over(files, judge=net),
        ahead=lambda: pass_over(files, judge=net, prefetch=True),
        array=lambda: pass_over(kept, judge=net),
        both=lambda: pass_over(kept, judge=net, prefetch=True),
    )
    names = {"files": "files", "ahead": "files, one batch ahead", "array": "array", "both": "array, one batch ahead"}
    for key, values in seconds.items():
        yield line(f"judged, {names[key]}", len(files), values, seconds["files"])


def augmented(files: ImageFiles, readers: int, repeats: int) -> Iterator[str]:
    """Yield a line for each number of readers that augment an epoch of train images."""
    split = files.augmented("rand-m9-mstd0.5-inc1", 0.25)

    def epoch(count: int) -> None:
        for _ in iterate(split, BATCH, seed=0, readers=count):
            pass

    seconds = rounds(repeats, **{str(count): partial(epoch, count) for count in range(readers + 1)})
    for key, values in seconds.items():
        yield line(f"augmented, {key} readers", len(files), values, seconds["0"])


def line(name: str, images: int, seconds: list[float], reference: list[float]) -> str:
    """Return a rate, and how many times the reference's it is."""
    times = ratio(reference, seconds)
    rate = images / Spread.of(seconds).median
    return f"  {name}: {rate:,.0f} images/s, {times.median:.2f} times ({times.low:.2f} to {times.high:.2f})"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--readers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(machine("torch", "torchvision", "Pillow", "nasformer"))
    with tempfile.TemporaryDirectory() as temporary:
        for kind in ("jpeg", "png"):
            files = photographs(Path(temporary) / kind, arguments.images, kind)
            kept = decode_once(files, Path(temporary) / "decoded", threads=arguments.threads)
            require_equal(files, kept)
            print(f"{arguments.images} {kind} files, medians of {arguments.rounds} rounds (lowest to highest ratio)")
            for row in passes(files, kept, arguments.threads, arguments.rounds):
                print(row, flush=True)
            for row in judged(files, kept, arguments.rounds):
                print(row, flush=True)
            for row in augmented(files, arguments.readers, arguments.rounds):
                print(row, flush=True)


if __name__ == "__main__":
    main()
