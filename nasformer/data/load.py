"""load_dataset: built-in datasets by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasformer.data.dataset import Dataset
from nasformer.data.names import OPTIONS, SERIES, TABLE, parse_name, require_known
from nasformer.data.transfer import NAMES, load_transfer
from nasformer.errors import DataError, did_you_mean

FOLDER = "imagefolder:"


def load_dataset(
    name: str, *, seed: int = 0, root: str | Path | None = None, image_size: int | None = None, **options: Any
) -> Dataset:
    """Return the dataset ``name`` with its splits.

    Args:
        name: "digits", "fashion-mnist", "cifar10", "cifar100", "flowers", "pets", "cars", "imagefolder:PATH" with
            images in ImageNet's layout, "table:FILE?key=value&…" with images and targets in a label table, or
            "series:FILE?key=value&…" with time series to forecast.
        seed: Seed of the splits.
        root: Folder of the files: a torchvision root (fashion-mnist may come from Debian's package), or of a table's
            images.
        image_size: Size in pixels of images read from files, default 224, for CIFAR 32; of series the look-back.
        **options: Further options of ``load_image_folder``, ``load_label_table``, ``load_series``, ``load_transfer``.

    Raises:
        DataError: Unknown name, or missing or unreadable files.

    >>> data = load_dataset("digits")
    >>> data.num_classes, data.image_size, len(data.test)
    (10, 8, 359)
    """
    if name.startswith(FOLDER):
        from nasformer.data.image_folder import load_image_folder

        return load_image_folder(name.removeprefix(FOLDER), seed=seed, image_size=image_size or 224, **options)
    if name.startswith(TABLE):
        return _table(name, seed, image_size or 224, {"root": root, **options})
    if name.startswith(SERIES):
        return _series(name, image_size, options)
    if name in NAMES:
        return load_transfer(name, root=root, seed=seed, image_size=image_size, **options)
    if name not in dataset_names():
        known = [*dataset_names(), *NAMES, FOLDER + "PATH", TABLE + "FILE", SERIES + "FILE"]
        raise DataError(f"unknown dataset {name!r}; {did_you_mean(name, known)}", name)
    require_known(name, options)
    data = _built_in(name, seed, root)
    if image_size not in (None, data.image_size):
        raise DataError(f"images of {name!r} are {data.image_size} pixels wide, not {image_size}", image_size)
    return data


def dataset_names() -> list[str]:
    """Return the names of the built-in datasets that need no root."""
    return ["digits", "fashion-mnist"]


def resizable(name: str) -> bool:
    """Whether the dataset ``name`` reads images or series from files, with a choice of their size."""
    return name.startswith((FOLDER, TABLE, SERIES)) or name in NAMES


def augmentation(name: str, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of ``load_dataset`` that a recipe sets: the augmentation of images read from files."""
    augmented = resizable(name) and not name.startswith(SERIES)
    return {key: recipe[key] for key in ("auto_augment", "random_erasing") if augmented and key in recipe}


def _built_in(name: str, seed: int, root: str | Path | None) -> Dataset:
    if name == "digits":
        from nasformer.data.digits import load_digits

        return load_digits(seed=seed)
    from nasformer.data.fashion_mnist import load_fashion_mnist

    return load_fashion_mnist(seed=seed, root=root)


def _table(name: str, seed: int, image_size: int, options: dict[str, Any]) -> Dataset:
    """Return a label table's dataset; an option overrides that of the name."""
    from nasformer.data.labelled_files import load_label_table

    path, named = parse_name(name)
    require_known(name, options, (*OPTIONS[TABLE], "auto_augment", "random_erasing"))
    given = {key: value for key, value in options.items() if key not in OPTIONS[TABLE] or value is not None}
    return load_label_table(path, seed=seed, image_size=image_size, **{**named, **given})


def _series(name: str, length: int | None, options: dict[str, Any]) -> Dataset:
    """Return the windows of a series; an option overrides that of the name."""
    from nasformer.data.series import load_series

    path, named = parse_name(name)
    require_known(name, options, OPTIONS[SERIES])
    return load_series(path, **{"length": length, **named, **options})
