"""ImageFiles: a split of image files, decoded on demand, and its transforms for evaluation and for training."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasformer.data.data_config import CROP, IMAGENET, DataConfig
from nasformer.data.dataset import Dataset
from nasformer.data.memory import ImagesInMemory
from nasformer.data.picture import MODES, read_image
from nasformer.data.splits import fingerprint
from nasformer.errors import DataError
from nasformer.tasks import Task

Sample = tuple[Any, Any]


class ImageFiles(torch.utils.data.Dataset[tuple[Tensor, Any]]):
    """A torch dataset of image files.

    Args:
        samples: Path and target of each image: a class number, or numbers.
        classes: Names of the classes.
        transform: From a PIL image to a tensor ``(channels, size, size)``.
        names: Name of each image in records, such as its path within the folder; None: its path.
    """

    on_disk = True

    def __init__(
        self,
        samples: Sequence[Sample],
        classes: Sequence[str],
        transform: Plain | Augmented,
        names: Sequence[str] | None = None,
    ) -> None:
        self.samples, self.classes, self.transform = list(samples), list(classes), transform
        self.names = [str(path) for path, _ in samples] if names is None else list(names)
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
        return read_image(self.source(index), self.mode, self.samples[index][0])

    def source(self, index: int) -> Any:
        """Return the path or the open file of an image."""
        return self.samples[index][0]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the tensors."""
        return (self.transform.channels, self.transform.image_size, self.transform.image_size)

    @property
    def mode(self) -> str:
        """Pillow's mode of the images."""
        return MODES[self.transform.channels]

    def stamp(self, index: int) -> tuple[str, int, int]:
        """Return path, size and modification time of a file, to detect changes.

        Raises:
            DataError: It is missing.
        """
        path = self.samples[index][0]
        try:
            status = os.stat(path)
        except FileNotFoundError:
            raise DataError(f"there is no image {path}", path) from None
        except OSError as error:
            raise DataError(f"cannot read the image {path}: {error.strerror}", path) from error
        return os.path.abspath(path), status.st_size, status.st_mtime_ns

    def augmented(self, auto_augment: str | None, random_erasing: float, flip: float = 0.5) -> ImageFiles:
        """Return the images with random crops, and the rest of ``Augmented``."""
        other = copy(self)
        size, channels, config = self.transform.image_size, self.transform.channels, self.transform.config
        other.transform = Augmented(size, channels, auto_augment, random_erasing, flip, config)
        return other

    def subset(self, places: Sequence[int]) -> ImageFiles:
        """Return some of the images."""
        samples = [self.samples[place] for place in places]
        return type(self)(samples, self.classes, self.transform, [self.names[place] for place in places])


class Plain:
    """The evaluation transform, in two halves: uint8 pixels can be cached, floats are four times as large.

    Args:
        image_size: Crop size, in pixels.
        channels: 3, or 1 for grey, normalised with the means over the three.
        config: Crop, interpolation and normalisation.

    Attributes:
        mean: Normalisation mean of each channel.
        std: Normalisation standard deviation of each channel.
    """

    def __init__(self, image_size: int, channels: int = 3, config: DataConfig = IMAGENET) -> None:
        whole: Any = _transform(image_size, config, training=False)
        *self._crops, _, _ = whole.transforms  # the last two: conversion to floats, normalisation
        self.image_size, self.channels, self._name = image_size, channels, f"{whole!r} {MODES[channels]}"
        self.config, (self.mean, self.std) = config, config.statistics(channels)
        self._mean, self._std = (torch.tensor(x).view(-1, 1, 1) for x in (self.mean, self.std))

    def __repr__(self) -> str:
        return self._name

    def __call__(self, image: Any) -> Tensor:
        """Return ``(channels, size, size)`` of a PIL image."""
        return self.normalised(torch.from_numpy(self.pixels(image)))

    def pixels(self, image: Any) -> NDArray[np.uint8]:
        """Return ``(channels, size, size)`` of a PIL image, resized and cropped."""
        for crop in self._crops:
            image = crop(image)
        pixels = np.array(image)
        return pixels.reshape(*pixels.shape[:2], self.channels).transpose(2, 0, 1).copy()

    def normalised(self, pixels: Tensor) -> Tensor:
        """Return floats ``(…, channels, size, size)``, normalised."""
        # A tensor: CUDA turns division by a Python number into multiplication by its inverse, off in the last bit.
        full = torch.tensor(255.0, device=pixels.device)
        return pixels.float().div_(full).sub_(self._mean.to(pixels.device)).div_(self._std.to(pixels.device))


class Augmented:
    """The training transform: timm's random crops, flips, augmentation policy and random erasing.

    Args:
        image_size: Crop size, in pixels.
        channels: 3 or 1.
        auto_augment: timm's augmentation policy; None: crops and flips only.
        random_erasing: Probability of random erasing.
        flip: Probability of a horizontal flip.
        config: Interpolation and normalisation.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        auto_augment: str | None,
        random_erasing: float,
        flip: float,
        config: DataConfig = IMAGENET,
    ) -> None:
        self.image_size, self.channels, self.config = image_size, channels, config
        mean, std = config.statistics(channels)
        same = replace(config, mean=tuple((mean * 3)[:3]), std=tuple((std * 3)[:3]))
        options: dict[str, Any] = {"auto_augment": auto_augment, "color_jitter": None}
        options |= {"re_prob": random_erasing, "hflip": flip}
        self._whole = _transform(image_size, same, training=True, **options)

    def __call__(self, image: Any) -> Tensor:
        """Return ``(channels, size, size)`` of a PIL image; the policies of timm are for three channels."""
        found = self._whole(image.convert("RGB"))
        return found if self.channels == 3 else found[:1]


def from_samples(
    name: str,
    splits: Mapping[str, Sequence[Sample]],
    names: Mapping[str, Sequence[str]],
    classes: Sequence[str],
    image_size: int,
    *,
    seed: int,
    channels: int = 3,
    kind: type[ImageFiles] = ImageFiles,
    task: Task | None = None,
) -> Dataset:
    """Return a dataset of image files.

    Args:
        name: Name in reports.
        splits: Path and target of each image, by split.
        names: Name of each image in the fingerprint.
        classes: Names of the outputs.
        image_size: Crop size, in pixels.
        seed: Seed of the splits.
        channels: 3, or 1 for grey.
        kind: Dataset class.
        task: What is learnt; None: a classification.

    Raises:
        DataError: Image files have other numbers of channels.
    """
    if channels not in MODES:
        raise DataError(f"{name!r} has images of 1 or 3 channels, not {channels}", channels)
    plain = Plain(image_size, channels)
    sets: dict[str, Any] = {key: kind(part, classes, plain, names[key]) for key, part in splits.items()}
    record = {
        "name": name,
        "seed": seed,
        **described(sets),
        "mean": plain.mean,
        "std": plain.std,
        "crop_pct": CROP,
    }
    shape: dict[str, Any] = {"num_classes": len(classes), "image_size": image_size, "in_channels": channels}
    return Dataset(**sets, name=name, task=task, record=record, **shape)


def described(splits: Mapping[str, ImageFiles]) -> dict[str, Any]:
    """Return sizes and fingerprints of splits: of names and targets, and of names alone."""
    return {
        "splits": {key: len(split) for key, split in splits.items()},
        "fingerprint": fingerprint({key: zip(s.names, s.targets, strict=True) for key, s in splits.items()}),
    }


def preprocessed(data: Dataset, config: DataConfig) -> Dataset:
    """Return a dataset with its images cropped and normalised for a network; images in memory are only normalised.

    Splits of another kind, whose transforms are not known, stay as they are, and so does their dataset.
    """
    mean, std = config.statistics(data.in_channels)
    record = {**data.record, **config.to_dict(), "mean": mean, "std": std}
    if {"interpolation": "bicubic", **data.record} == record:
        return data
    other, splits = copy(data), dict[str, Any]()
    for name, split in data.splits.items():
        if isinstance(split, ImageFiles) and isinstance(split.transform, Plain):
            splits[name] = copy(split)
            splits[name].transform = Plain(data.image_size, data.in_channels, config)
        elif isinstance(split, ImagesInMemory) and "mean" in data.record and len(data.input_shape) == 3:
            pixels = denormalised(split.images, data.record)
            shift, scale = (torch.tensor(values).view(-1, 1, 1) for values in (mean, std))
            splits[name] = ImagesInMemory((pixels - shift) / scale, split.labels)
        else:
            return data
    other.train, other.search, other.test = (splits[name] for name in ("train", "search", "test"))
    other.record = record
    return other


def denormalised(images: Tensor, record: Mapping[str, Any]) -> Tensor:
    """Return images ``(…, channels, height, width)`` in [0, 1], given the mean and deviation that a record has."""
    mean, std = (torch.tensor(record[key], dtype=torch.float32).view(-1, 1, 1) for key in ("mean", "std"))
    return images * std + mean


def _transform(image_size: int, config: DataConfig, *, training: bool, **options: Any) -> Callable[[Any], Tensor]:
    from timm.data.transforms_factory import create_transform

    options |= {"interpolation": config.interpolation, "crop_pct": config.crop_pct}
    options |= {"crop_mode": config.crop_mode}
    options |= {"mean": config.mean, "std": config.std}
    transform: Callable[[Any], Tensor] = create_transform(image_size, is_training=training, **options)
    for each in getattr(transform, "transforms", []):
        for operation in getattr(each, "ops", []):
            if operation.name.startswith("Posterize"):
                operation.level_fn = partial(_some_bits, operation.level_fn)
    return transform


def _some_bits(bits: Callable[..., tuple[int]], *arguments: Any) -> tuple[int]:
    """Keep at least one bit: timm's posterize may ask for none, which Pillow 13 refuses."""
    return (max(1, *bits(*arguments)),)
