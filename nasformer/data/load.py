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
        seed: Seed of the splits.
        root: Folder of the files: a torchvision root; fashion-mnist may come from Debian's package.
        image_size: Size in pixels of images read from files; default 224, for CIFAR 32.
        **options: Further options of ``load_image_folder`` and ``load_transfer``.

    Raises:
        DataError: Unknown name, or missing or unreadable files.

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
    if image_size not in (None, data.image_size):
        raise DataError(f"images of {name!r} are {data.image_size} pixels wide, not {image_size}", image_size)
    return data


def dataset_names() -> list[str]:
    """Return the names of the built-in datasets that need no root."""
    return ["digits", "fashion-mnist"]


def resizable(name: str) -> bool:
    """Whether the dataset ``name`` reads images from files, with a choice of size and augmentation."""
    return name.startswith(FOLDER) or name in NAMES


def augmentation(name: str, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of ``load_dataset`` that a recipe sets: the augmentation of images read from files."""
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
