"""load_dataset: built-in datasets by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasformer.data.dataset import Dataset
from nasformer.data.transfer import NAMES, load_transfer
from nasformer.errors import DataError, did_you_mean

FOLDER = "imagefolder:"


def load_dataset(
    name: str, *, seed: int = 0, root: str | Path | None = None, image_size: int | None = None, **options: Any
) -> Dataset:
    """Return the dataset ``name`` with its splits.

    Args:
        name: "digits", "fashion-mnist", "cifar10", "cifar100", "flowers", "pets", "cars", or "imagefolder:PATH" with
            images in ImageNet's layout.
        seed: Of the splits.
        root: Where the files are: a torchvision root; fashion-mnist's may be in Debian's package.
        image_size: Height and width in pixels, of images that are read from files by default 224, of CIFAR 32. Those
            of the built-in datasets come at one size and can be made smaller.
        **options: More of those, as ``load_image_folder`` and ``load_transfer`` take them.

    Raises:
        DataError: An unknown name, or files that are absent or unreadable.

    >>> data = load_dataset("digits")
    >>> data.num_classes, data.image_size, len(data.test)
    (10, 8, 359)
    """
    if name.startswith(FOLDER):
        from nasformer.data.image_folder import load_image_folder

        return load_image_folder(name.removeprefix(FOLDER), seed=seed, image_size=image_size or 224, **options)
    if name in NAMES:
        return load_transfer(name, root=root, seed=seed, image_size=image_size, **options)
    if name not in dataset_names():
        raise DataError(
            f"unknown dataset {name!r}; {did_you_mean(name, [*dataset_names(), *NAMES, FOLDER + 'PATH'])}", name
        )
    _no_options(name, options)
    data = _built_in(name, seed, root)
    if image_size in (None, data.image_size):
        return data
    if image_size > data.image_size:
        raise DataError(f"images of {name!r} are {data.image_size} pixels wide, not {image_size}", image_size)
    return data.resized(image_size)


def dataset_names() -> list[str]:
    """Return the names of the built-in datasets that need no root."""
    return ["digits", "fashion-mnist"]


def resizable(name: str) -> bool:
    """Whether images of the dataset ``name`` are read from files, at a size that can be chosen, and augmented then."""
    return name.startswith(FOLDER) or name in NAMES


def augmentation(name: str, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``load_dataset`` takes of a recipe: how images that are read from files are augmented."""
    return {key: recipe[key] for key in ("auto_augment", "random_erasing") if resizable(name) and key in recipe}


def _built_in(name: str, seed: int, root: str | Path | None) -> Dataset:
    if name == "digits":
        from nasformer.data.digits import load_digits

        return load_digits(seed=seed)
    from nasformer.data.fashion_mnist import load_fashion_mnist

    return load_fashion_mnist(seed=seed, root=root)


def _no_options(name: str, options: dict[str, Any]) -> None:
    for key in options:
        raise DataError(f"dataset {name!r} has no option {key!r}", options)
