"""imagefolder:PATH: images on disk in ImageNet's layout, one folder per class, decoded on demand.

A part of ``train/`` is held out as the search split; ``test/`` or ``val/`` is the test split. If
both exist, ``val/`` is the search split and all of ``train/`` trains.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasformer.data.dataset import Dataset
from nasformer.data.splits import fingerprint, stratified
from nasformer.errors import DataError
from nasformer.tasks import Task

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
CROP = 0.875
"""Center crop, as a fraction of the shorter side, as in AutoFormer's evaluation."""

Sample = tuple[Path, Any]
Marked = TypeVar("Marked", bound=tuple[Any, int])


class ImageFiles(torch.utils.data.Dataset[tuple[Tensor, Any]]):
    """A torch dataset of image files.

    Args:
        samples: Path and target of each image: a class number, or numbers.
        classes: Names of the classes.
        transform: From a PIL image to a tensor ``(3, size, size)``.
    """

    def __init__(self, samples: Sequence[Sample], classes: Sequence[str], transform: Callable[[Any], Tensor]) -> None:
        self.samples, self.classes, self.transform = list(samples), list(classes), transform
        self.targets = [label for _, label in samples]
        labels = torch.from_numpy(np.asarray(self.targets))
        self.labels = labels.float() if labels.is_floating_point() else labels

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[Tensor, Any]:
        label = self.labels[index]
        return self.transform(self.read(index)), label if label.ndim else int(label)

    def read(self, index: int) -> Any:
        """Return a decoded image (PIL).

        Raises:
            DataError: It cannot be read.
        """
        from PIL import Image

        path, _ = self.samples[index]
        try:
            with Image.open(path) as image:
                return image.convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:
            raise _unreadable(path, error) from error

    def stamp(self, index: int) -> tuple[str, int, int]:
        """Return path, size and modification time of a file, to detect changes.

        Raises:
            DataError: It is missing.
        """
        path, _ = self.samples[index]
        try:
            status = path.stat()
        except OSError as error:
            raise _unreadable(path, error) from error
        return os.path.abspath(path), status.st_size, status.st_mtime_ns


class Plain:
    """The evaluation transform, in two halves: uint8 pixels can be cached, floats are four times as large.

    Args:
        image_size: Crop size, in pixels.

    Attributes:
        mean: Normalisation mean of each channel.
        std: Normalisation standard deviation of each channel.
    """

    def __init__(self, image_size: int) -> None:
        whole: Any = _transform(image_size, training=False)
        *self._crops, _, normalise = whole.transforms  # between them: conversion to floats
        self.image_size, self._name = image_size, repr(whole)
        self._mean, self._std = (torch.as_tensor(x).view(-1, 1, 1) for x in (normalise.mean, normalise.std))
        self.mean, self.std = self._mean.flatten().tolist(), self._std.flatten().tolist()

    def __repr__(self) -> str:
        return self._name

    def __call__(self, image: Any) -> Tensor:
        """Return ``(3, size, size)`` of a PIL image."""
        return self.normalised(torch.from_numpy(self.pixels(image)))

    def pixels(self, image: Any) -> NDArray[np.uint8]:
        """Return ``(3, size, size)`` of a PIL image, resized and cropped."""
        for crop in self._crops:
            image = crop(image)
        return np.array(image).transpose(2, 0, 1).copy()

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return floats ``(…, 3, size, size)``, normalised with ImageNet's mean and standard deviation."""
        # A tensor: CUDA turns division by a Python number into multiplication by its inverse, off in the last bit.
        full = torch.tensor(255.0, device=pixels.device)
        return pixels.float().div_(full).sub_(self._mean.to(pixels.device)).div_(self._std.to(pixels.device))


def load_image_folder(
    path: str | Path,
    *,
    seed: int = 0,
    image_size: int = 224,
    search_fraction: float = 0.1,
    test_fraction: float | None = None,
    auto_augment: str | None = "rand-m9-mstd0.5-inc1",
    random_erasing: float = 0.25,
) -> Dataset:
    """Return the dataset of a folder.

    Args:
        path: A folder with ``train/`` and ``test/`` or ``val/``, each with one folder per class.
        seed: Seed of the splits.
        image_size: Crop size, in pixels.
        search_fraction: Fraction of ``train/`` held out as the search split.
        test_fraction: Fraction of ``train/`` held out as the test split, if it has no folder.
        auto_augment: timm's augmentation policy of the train images; None: crops and flips only.
        random_erasing: Probability of random erasing of train images.

    Raises:
        DataError: A folder is missing or empty, or the folders' classes differ.
    """
    root = Path(path)
    splits, classes = _splits(root, search_fraction, test_fraction, seed)
    marks = {key: [(file.relative_to(root).as_posix(), y) for file, y in part] for key, part in splits.items()}
    return from_samples(
        f"imagefolder:{root}",
        splits,
        marks,
        classes,
        image_size,
        seed=seed,
        auto_augment=auto_augment,
        random_erasing=random_erasing,
    )


def from_samples(
    name: str,
    splits: Mapping[str, Sequence[Sample]],
    marks: Mapping[str, Sequence[tuple[object, object]]],
    classes: Sequence[str],
    image_size: int,
    *,
    seed: int,
    auto_augment: str | None,
    random_erasing: float,
    kind: type[ImageFiles] = ImageFiles,
    task: Task | None = None,
) -> Dataset:
    """Return a dataset of image files with augmented train images.

    Args:
        name: Name in reports.
        splits: Path and target of each image, by split.
        marks: Identifier of each image in the fingerprint, with its target.
        classes: Names of the outputs.
        image_size: Crop size, in pixels.
        seed: Seed of the splits.
        auto_augment: timm's augmentation policy; None: crops and flips only.
        random_erasing: Probability of random erasing.
        kind: Dataset class.
        task: What is learnt; None: a classification.
    """
    augmented = _transform(image_size, training=True, auto_augment=auto_augment, re_prob=random_erasing)
    plain = Plain(image_size)
    sets: dict[str, Any] = {
        key: kind(part, classes, augmented if key == "train" else plain) for key, part in splits.items()
    }
    record = {
        "name": name,
        "seed": seed,
        "splits": {key: len(samples) for key, samples in splits.items()},
        "fingerprint": fingerprint(marks),
        "mean": plain.mean,
        "std": plain.std,
        "crop_pct": CROP,
    }
    shape: dict[str, Any] = {"num_classes": len(classes), "image_size": image_size, "in_channels": 3}
    return Dataset(**sets, name=name, task=task, record=record, **shape)


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"cannot read the image {path}: {str(error).splitlines()[0]}", path)


def _splits(
    root: Path, search_fraction: float, test_fraction: float | None, seed: int
) -> tuple[dict[str, list[Sample]], list[str]]:
    held_out = [name for name in ("test", "val") if (root / name).is_dir()]
    if not held_out and test_fraction is None:
        raise DataError(
            f"{root} has neither test/ nor val/; add one, or hold out part of train/ with test_fraction=0.2", root
        )
    train, classes = _scan(root / "train")
    found = {name: _scan(root / name, classes)[0] for name in held_out}
    if len(held_out) == 2:
        return {"train": train, "search": found["val"], "test": found["test"]}, classes
    fractions = {"search": search_fraction} | ({} if held_out else {"test": float(test_fraction or 0)})
    parts = hold_out(train, fractions, seed)
    return {**parts, **({"test": found[held_out[0]]} if held_out else {})}, classes


def hold_out(samples: Sequence[Marked], fractions: Mapping[str, float], seed: int) -> dict[str, list[Marked]]:
    """Split samples into train and named held-out parts, stratified by class.

    Raises:
        DataError: The fractions leave nothing to train, or a class is too small for them.
    """
    rest = 1 - sum(fractions.values())
    if not 0 < rest < 1 or min(fractions.values()) <= 0:
        raise DataError(f"held-out fractions must be positive and sum to less than 1, got {fractions}", fractions)
    parts = stratified([label for _, label in samples], {"train": rest, **fractions}, seed)
    return {key: [samples[int(index)] for index in np.asarray(chosen)] for key, chosen in parts.items()}


def _scan(folder: Path, wanted: list[str] | None = None) -> tuple[list[Sample], list[str]]:
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; it must contain one folder per class", folder)
    classes = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not classes:
        raise DataError(f"{folder} contains no folders; it must contain one per class", folder)
    if wanted is not None and classes != wanted:
        odd = sorted(set(classes) ^ set(wanted))
        raise DataError(f"the classes of {folder} differ from those of train/, as in {odd[0]!r}", odd)
    samples: list[Sample] = []
    for label, name in enumerate(classes):
        files = sorted(file for file in (folder / name).rglob("*") if file.suffix.lower() in EXTENSIONS)
        if not files:
            raise DataError(f"the class folder {folder / name} contains no images; fill or remove it", folder / name)
        samples += [(file, label) for file in files]
    return samples, classes


def _transform(image_size: int, *, training: bool, **options: Any) -> Callable[[Any], Tensor]:
    from timm.data.transforms_factory import create_transform

    transform: Callable[[Any], Tensor] = create_transform(
        image_size, is_training=training, interpolation="bicubic", crop_pct=CROP, **options
    )
    for each in getattr(transform, "transforms", []):
        for operation in getattr(each, "ops", []):
            if operation.name.startswith("Posterize"):
                operation.level_fn = partial(_some_bits, operation.level_fn)
    return transform


def _some_bits(bits: Callable[..., tuple[int]], *arguments: Any) -> tuple[int]:
    """Keep at least one bit: timm's posterize may ask for none, which Pillow 13 refuses."""
    return (max(1, *bits(*arguments)),)
