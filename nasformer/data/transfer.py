"""The datasets of AutoFormer's transfer table (section 4.4), read from a torchvision root; never downloaded.

CIFAR-10 and CIFAR-100 (Krizhevsky, 2009), Oxford Flowers 102 (Nilsback and Zisserman, 2008), Oxford-IIIT Pets
(Parkhi et al., 2012), Stanford Cars (Krause et al., 2013). Part of the official train split (for Flowers,
train and validation) is held out as the search split; the official test split is the test split. torchvision reads
the annotations, and verifies the checksums of CIFAR and Flowers first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer.data.dataset import Dataset
from nasformer.data.image_files import ImageFiles, Sample, from_samples
from nasformer.data.image_folder import hold_out
from nasformer.data.tensors import from_arrays
from nasformer.errors import DataError

CIFAR_SIZE = 32
_LAYOUTS = {
    "cars": "stanford_cars/",
    "cifar10": "cifar-10-batches-py/",
    "cifar100": "cifar-100-python/",
    "flowers": "flowers-102/",
    "pets": "oxford-iiit-pet/",
}


def load_transfer(
    name: str,
    *,
    root: str | Path | None,
    seed: int = 0,
    image_size: int | None = None,
    in_channels: int = 3,
    search_fraction: float = 0.1,
) -> Dataset:
    """Return one of the datasets.

    Args:
        name: "cifar10", "cifar100", "flowers", "pets" or "cars".
        root: A torchvision root.
        seed: Seed of the splits.
        image_size: Size that images are resized and cropped to; None: 224, for CIFAR its native 32, at which
            it is in memory and a recipe's ``affine`` augments it.
        in_channels: 3, or 1 for grey; of CIFAR at 32 pixels 3.
        search_fraction: Fraction of the train images held out as the search split.

    Raises:
        DataError: The files are missing or damaged.
    """
    folder = _root(name, root)
    options: dict[str, Any] = {"seed": seed, "channels": in_channels}
    if name in ("cifar10", "cifar100"):
        if image_size is None or image_size == CIFAR_SIZE:
            return _cifar_in_memory(name, folder, search_fraction, seed)
        return _from_parts(name, *_cifar(name, folder), image_size, search_fraction, Pictures, options)
    train, test, classes = _FILES[name](folder)
    return _from_parts(name, train, test, classes, image_size or 224, search_fraction, ImageFiles, options)


class Pictures(ImageFiles):
    """Images in memory as uint8 ``(height, width, 3)``, with the interface of ``ImageFiles``."""

    on_disk = False

    def read(self, index: int) -> Any:
        """Return a PIL image."""
        from PIL import Image

        return Image.fromarray(self.samples[index][0]).convert(self.mode)


def _from_parts(
    name: str,
    train: Sequence[Sample],
    test: Sequence[Sample],
    classes: Sequence[str],
    image_size: int,
    search_fraction: float,
    kind: type[ImageFiles],
    options: dict[str, Any],
) -> Dataset:
    numbered = [(number, label) for number, (_, label) in enumerate(train)]
    held = hold_out(numbered, {"search": search_fraction}, options["seed"])
    splits = {key: [train[number] for number, _ in part] for key, part in held.items()} | {"test": list(test)}
    names = {key: [str(number) for number, _ in part] for key, part in held.items()}
    names["test"] = list(map(str, range(len(test))))
    return from_samples(name, splits, names, classes, image_size, kind=kind, **options)


def _cifar_in_memory(name: str, folder: Path, search_fraction: float, seed: int) -> Dataset:
    train, test, classes = _cifar(name, folder)
    arrays = [_stacked(part) for part in (train, test)]
    fractions = {"train": 1 - search_fraction, "search": search_fraction}
    return from_arrays(name, *arrays[0], fractions, seed=seed, test=arrays[1], classes=classes)


def _stacked(samples: Sequence[tuple[Any, int]]) -> tuple[NDArray[np.float32], NDArray[Any]]:
    pixels = np.stack([image for image, _ in samples]).transpose(0, 3, 1, 2)
    return pixels.astype(np.float32) / np.float32(255), np.array([label for _, label in samples])


def _root(name: str, root: str | Path | None) -> Path:
    layout = _LAYOUTS[name]
    if root is None:
        raise DataError(f"{name} is read from files; give root= (--root DIR), a torchvision root with {layout}", name)
    if not (Path(root) / layout).is_dir():
        raise DataError(f"{name} is not in {root}: there is no {layout}; give the torchvision root that holds it", root)
    return Path(root)


def _open(make: Callable[..., Any], folder: Path, **options: Any) -> Any:
    """Return a torchvision dataset; its errors become one line."""
    try:
        return make(str(folder), download=False, **options)
    except Exception as error:  # corrupt files can raise anything in torchvision, SciPy and pickle
        lines = str(error).splitlines() or [type(error).__name__]
        raise DataError(f"cannot read {make.__name__} in {folder}: {lines[0]}; download it again", folder) from error


def _cifar(name: str, folder: Path) -> tuple[list[Any], list[Any], list[str]]:
    from torchvision import datasets

    make = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    train, test = (_open(make, folder, train=part) for part in (True, False))
    samples = [list(zip(part.data, map(int, part.targets), strict=True)) for part in (train, test)]
    return samples[0], samples[1], list(train.classes)


def _flowers(folder: Path) -> tuple[list[Sample], list[Sample], list[str]]:
    from torchvision.datasets import Flowers102

    parts = {part: _open(Flowers102, folder, split=part) for part in ("train", "val", "test")}
    samples = {key: list(zip(part._image_files, map(int, part._labels), strict=True)) for key, part in parts.items()}
    classes = getattr(parts["train"], "classes", None) or [str(number) for number in range(102)]
    return samples["train"] + samples["val"], samples["test"], list(classes)


def _pets(folder: Path) -> tuple[list[Sample], list[Sample], list[str]]:
    from torchvision.datasets import OxfordIIITPet

    train, test = (_open(OxfordIIITPet, folder, split=part) for part in ("trainval", "test"))
    samples = [list(zip(part._images, map(int, part._labels), strict=True)) for part in (train, test)]
    return samples[0], samples[1], list(train.classes)


def _cars(folder: Path) -> tuple[list[Sample], list[Sample], list[str]]:
    from torchvision.datasets import StanfordCars

    train, test = (_open(StanfordCars, folder, split=part) for part in ("train", "test"))
    samples = [[(Path(path), int(label)) for path, label in part._samples] for part in (train, test)]
    return samples[0], samples[1], list(train.classes)


_FILES: dict[str, Callable[[Path], tuple[list[Sample], list[Sample], list[str]]]] = {
    "cars": _cars,
    "flowers": _flowers,
    "pets": _pets,
}
