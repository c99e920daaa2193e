"""load_dataset: built-in datasets by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nasformer._spec import Spec, require_known
from nasformer.data.dataset import Dataset
from nasformer.data.names import (
    FOLDER,
    HUGGING_FACE,
    IN_MEMORY,
    OPTIONS,
    SERIES,
    TABLE,
    TRANSFER,
    parse_name,
    with_prefix,
)
from nasformer.data.transfer import load_transfer
from nasformer.errors import DataError, did_you_mean

_SIZE = 224


def load_dataset(
    name: str,
    *,
    seed: int = 0,
    root: str | Path | None = None,
    image_size: int | None = None,
    in_channels: int | None = None,
    preprocessing: Mapping[str, Any] | None = None,
    **options: Any,
) -> Dataset:
    """Return the dataset ``name`` with its splits.

    Args:
        name: "digits", "fashion-mnist", "cifar10", "cifar100", "flowers", "pets", "cars"; a folder of images with a
            folder per class; a label table, or "table:FILE?key=value&…"; "series:FILE?key=value&…" with time series to
            forecast; a folder that Hugging Face's ``datasets`` saved, or of its Parquet files.
        seed: Seed of the splits.
        root: Folder of the files: a torchvision root (fashion-mnist may come from Debian's package), or of a table's
            images.
        image_size: Size in pixels of images read from files, default 224, for CIFAR 32; of series the look-back.
        in_channels: Channels of images read from files: 3, the default, or 1 for grey.
        preprocessing: ``mean``, ``std``, ``crop_pct`` and ``interpolation`` of images for a network, such as
            ``net.preprocessing``; None: ImageNet's for images read from files, the data's own for those in memory.
        **options: Further options of ``load_image_folder``, ``load_label_table``, ``load_series``,
            ``load_hugging_face``, ``load_transfer``.

    Raises:
        DataError: Unknown name, or missing or unreadable files.

    >>> data = load_dataset("digits")
    >>> data.num_classes, data.image_size, len(data.test)
    (10, 8, 359)
    """
    if preprocessing is not None:
        from nasformer.data.data_config import DataConfig
        from nasformer.data.image_files import preprocessed

        data = load_dataset(name, seed=seed, root=root, image_size=image_size, in_channels=in_channels, **options)
        return preprocessed(data, DataConfig.from_dict(preprocessing))
    spec = parse_name(with_prefix(name))
    shape = {"image_size": image_size or _SIZE, "in_channels": in_channels or 3}
    for key in ("auto_augment", "random_erasing"):
        if key in options:
            raise DataError(f"{key} is an option of the recipe, not of the data: Recipe({key}=…)", key)
    if spec.kind == FOLDER:
        from nasformer.data.image_folder import load_image_folder

        require_known(name, options, ("search_fraction", "test_fraction"), DataError)
        return load_image_folder(spec.path, seed=seed, **shape, **options)
    if spec.kind == TABLE:
        from nasformer.data.labelled_files import load_label_table

        return _of_file(load_label_table, spec, {"root": root, **options}, seed=seed, **shape)
    if spec.kind == HUGGING_FACE:
        from nasformer.data.hugging_face import load_hugging_face

        return _of_file(load_hugging_face, spec, options, seed=seed, **shape)
    if spec.kind == SERIES:
        from nasformer.data.series import load_series

        return _of_file(load_series, spec, options, length=image_size)
    if name in TRANSFER:
        return load_transfer(name, root=root, seed=seed, image_size=image_size, in_channels=in_channels or 3, **options)
    if name not in dataset_names():
        known = [*dataset_names(), *TRANSFER, f"{FOLDER}:PATH", f"{TABLE}:FILE", f"{SERIES}:FILE"]
        raise DataError(f"unknown dataset {name!r}; {did_you_mean(name, known)}", name)
    require_known(name, options, (), DataError)
    data = _built_in(name, seed, root)
    if image_size not in (None, data.image_size):
        raise DataError(f"images of {name!r} are {data.image_size} pixels wide, not {image_size}", image_size)
    return data


def dataset_names() -> list[str]:
    """Return the names of the built-in datasets that need no root."""
    return list(IN_MEMORY)


def resizable(name: str) -> bool:
    """Whether the dataset ``name`` reads images or series from files, with a choice of their size."""
    return name not in IN_MEMORY


def _built_in(name: str, seed: int, root: str | Path | None) -> Dataset:
    if name == "digits":
        from nasformer.data.digits import load_digits

        return load_digits(seed=seed)
    from nasformer.data.fashion_mnist import load_fashion_mnist

    return load_fashion_mnist(seed=seed, root=root)


def _of_file(load: Callable[..., Dataset], spec: Spec, options: Mapping[str, Any], **shape: Any) -> Dataset:
    """Return the dataset of a file; an option overrides that of the name."""
    require_known(str(spec), options, OPTIONS[spec.kind], DataError)
    given = {key: value for key, value in options.items() if value is not None}
    return load(spec.path, **{**shape, **(spec.options or {}), **given})
