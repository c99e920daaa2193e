"""Dataset: disjoint train, search and test splits with metadata.

The search split ranks architectures and is never trained on; test images are used once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any, Protocol

from torch import Tensor
from torch.utils.data import Subset, TensorDataset

from nasformer.data.memory import ImagesInMemory
from nasformer.data.splits import fingerprint
from nasformer.errors import DataError
from nasformer.space import SearchSpace

SPLITS = ("train", "search", "test")


class Split(Protocol):
    """A torch dataset of ``(image (channels, height, width), label)`` pairs."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Dataset:
    """Three disjoint splits of images.

    Omitted arguments are inferred from the splits: sizes from the first image, classes from the labels in
    memory or from a ``classes`` attribute.

    Args:
        train: Images for training.
        search: Images that rank architectures; never trained on.
        test: Held-out test images.
        name: Name in reports.
        num_classes: Number of classes.
        image_size: Height and width, in pixels.
        in_channels: Number of channels.
        classes: Class names; None: those of the train split, or numbers.
        record: Metadata stored with every result; the built-in datasets record their splits.

    Raises:
        DataError: An empty split, images of the wrong shape, or splits that share images.

    >>> import torch
    >>> splits = {name: TensorDataset(torch.rand(6, 1, 8, 8), torch.arange(6) % 3) for name in SPLITS}
    >>> data = Dataset(**splits)
    >>> data.num_classes, data.image_size, data.record["splits"]
    (3, 8, {'train': 6, 'search': 6, 'test': 6})
    """

    def __init__(
        self,
        *,
        train: Split,
        search: Split,
        test: Split,
        name: str = "custom",
        num_classes: int | None = None,
        image_size: int | None = None,
        in_channels: int | None = None,
        classes: Sequence[str] | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        splits = {"train": train, "search": search, "test": test}
        _check_disjoint(splits)
        self.train, self.search, self.test = (_in_memory(splits[key]) for key in SPLITS)
        channels, size = _image_shape(self.train)
        self.name = name
        self.image_size = size if image_size is None else image_size
        self.in_channels = channels if in_channels is None else in_channels
        self.num_classes = _count_classes(self.train) if num_classes is None else num_classes
        self.classes = _names(self.num_classes, classes or getattr(self.train, "classes", None) or ())
        self.record: dict[str, Any] = dict(record) if record is not None else self._default_record()
        self.record.setdefault("classes", self.classes)
        self._check_splits()

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "search": self.search, "test": self.test}

    def check(self, space: SearchSpace) -> None:
        """Check that networks of ``space`` take these images.

        Raises:
            DataError: Channels, image size or classes differ, naming both.
        """
        wanted = space.geometry
        for key in ("in_channels", "image_size", "num_classes"):
            have, need = getattr(self, key), getattr(wanted, key)
            if have != need:
                raise DataError(
                    f"dataset {self.name!r} has {key} {have}, but space {space.name!r} declares {need}; "
                    f"declare {key}: {have} or use other data",
                    self,
                )

    def _check_splits(self) -> None:
        wanted = (self.in_channels, self.image_size, self.image_size)
        for key, split in self.splits.items():
            shape = tuple(_first_image(split, key).shape)
            if shape != wanted:
                raise DataError(f"the {key} images of {self.name!r} are {shape}, expected {wanted}", split)
            labels = split.labels if isinstance(split, ImagesInMemory) else None
            if labels is not None and int(labels.max()) >= self.num_classes:
                raise DataError(
                    f"the {key} labels of {self.name!r} reach {int(labels.max())}, but it has "
                    f"{self.num_classes} classes (0 to {self.num_classes - 1})",
                    split,
                )

    def _default_record(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "seed": None,
            "splits": {key: len(split) for key, split in self.splits.items()},
            "fingerprint": fingerprint({key: _labels(split) for key, split in self.splits.items()}),
        }


def _in_memory(split: Split) -> Split:
    if isinstance(split, TensorDataset) and len(split.tensors) == 2:
        return ImagesInMemory(*split.tensors)
    return split


def _labels(split: Split) -> Iterator[tuple[object, int]]:
    """Yield each image's index and class if labels are in memory, else only the number of images."""
    labels = split.labels if isinstance(split, ImagesInMemory) else getattr(split, "targets", None)
    yield from enumerate(map(int, labels)) if labels is not None else [(len(split), -1)]


def _first_image(split: Split, name: str) -> Tensor:
    if not len(split):
        raise DataError(f"the {name} split is empty; give it at least one image", split)
    item = split[0]
    if not (isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], Tensor)):
        raise DataError(f"the {name} split must hold (image tensor, label) pairs, got {type(item).__name__}", item)
    if not item[0].is_floating_point():
        raise DataError(f"the {name} images must be floats, got {item[0].dtype}; add a ToTensor transform", item)
    return item[0]


def _image_shape(split: Split) -> tuple[int, int]:
    shape = tuple(_first_image(split, "train").shape)
    if len(shape) != 3 or shape[1] != shape[2]:
        raise DataError(f"images must be square (channels, size, size), got {shape}; crop or resize them", split)
    return shape[0], shape[1]


def _count_classes(split: Split) -> int:
    if isinstance(split, ImagesInMemory):
        return int(split.labels.max()) + 1
    if hasattr(split, "classes"):
        return len(split.classes)
    raise DataError("the number of classes is not known from the train split; give num_classes=", split)


def _names(num_classes: int, given: Sequence[Any]) -> list[str]:
    """Return the class names; numbers if the count of names is wrong."""
    return list(map(str, given if len(given) == num_classes else range(num_classes)))


def _check_disjoint(splits: Mapping[str, Split]) -> None:
    for (first, a), (second, b) in combinations(splits.items(), 2):
        if a is b:
            raise DataError(f"{first} and {second} are the same images; give three disjoint splits", a)
        if isinstance(a, Subset) and isinstance(b, Subset) and a.dataset is b.dataset:
            shared = set(a.indices) & set(b.indices)
            if shared:
                raise DataError(f"{first} and {second} share {len(shared)} images, as index {min(shared)}", shared)
