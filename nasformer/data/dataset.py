"""Dataset: disjoint train, search and test splits with their task and metadata.

The search split ranks architectures and is never trained on; test examples are used once, at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from itertools import combinations
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from nasformer.data.memory import ImagesInMemory
from nasformer.data.splits import fingerprint
from nasformer.errors import DataError
from nasformer.space import SearchSpace
from nasformer.tasks import Task, get_task, task_of

SPLITS = ("train", "search", "test")


class Split(Protocol):
    """A torch dataset of ``(image (channels, height, width) or series (channels, length), target)`` pairs."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class Dataset:
    """Three disjoint splits of images or series.

    Omitted arguments are inferred from the splits: sizes from the first image, classes from the labels in
    memory or from a ``classes`` attribute.

    Args:
        train: Images for training.
        search: Images that rank architectures; never trained on.
        test: Held-out test images.
        name: Name in reports.
        task: What is learnt; None: a classification.
        num_classes: Number of classes.
        image_size: Height and width in pixels, or length of the series.
        in_channels: Number of channels.
        classes: Class names; None: those of the train split, or numbers.
        record: Metadata stored with every result; the built-in datasets record their splits.

    Attributes:
        examined: Whether its image files were looked at (``data.examine``).
        left_out: Number of files in its folder that are no images of it, by reason.

    Raises:
        DataError: An empty split, images of the wrong shape, targets that do not fit the task, or splits that share
            images.

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
        task: Task | None = None,
        num_classes: int | None = None,
        image_size: int | None = None,
        in_channels: int | None = None,
        classes: Sequence[str] | None = None,
        record: Mapping[str, Any] | None = None,
    ) -> None:
        splits = {"train": train, "search": search, "test": test}
        _check_disjoint(splits)
        self.train, self.search, self.test = (_in_memory(splits[key]) for key in SPLITS)
        channels, *sizes = _input_shape(self.train)
        self.name = name
        self.examined, self.left_out = False, dict[str, int]()
        self.image_size = sizes[0] if image_size is None else image_size
        self.in_channels = channels if in_channels is None else in_channels
        self.input_shape = (self.in_channels, *(self.image_size for _ in sizes))
        self.task = _classification(self.train, num_classes, classes) if task is None else task
        if not isinstance(self.task, Task):
            raise DataError(f"task= is a Task, such as get_task('regression').fit(…), got {task!r}", task)
        self.record: dict[str, Any] = dict(record) if record is not None else self._default_record()
        self.record = {**self.task.record(), **self.record}
        self._check_splits()

    @property
    def num_classes(self) -> int:
        """Number of outputs: of classes, labels, targets or steps."""
        return len(self.task.outputs)

    @property
    def classes(self) -> list[str]:
        """Names of the outputs."""
        return list(self.task.outputs)

    @property
    def splits(self) -> dict[str, Split]:
        """The three splits by name."""
        return {"train": self.train, "search": self.search, "test": self.test}

    def learnt_by(self, trained_on: Mapping[str, Any], path: object) -> Dataset:
        """Return this dataset with its task as weights can be evaluated on it.

        Args:
            trained_on: Record of the weights' training dataset; empty if unknown.
            path: The weights, for messages.

        Raises:
            DataError: The outputs of the weights mean something else.
        """
        if not trained_on.keys() & {"task", "classes"}:
            return self
        try:
            task = self.task.of_weights(task_of(trained_on))
        except DataError as error:
            words = (
                f"{path} and {self.name!r} do not fit: {error}; give matching data, or fine-tune the network on these"
            )
            raise DataError(words, error.value) from None
        other = copy(self)
        other.task, other.record = task, {**self.record, **task.record()}
        return other

    def testing(self, split: str) -> Dataset:
        """Return this dataset with another split, or with "all" examples, as its test split."""
        found: Any = copy(self)
        found.test = ConcatDataset(list[Any](self.splits.values())) if split == "all" else self.splits[split]
        return found  # type: ignore[no-any-return]

    def check(self, space: SearchSpace) -> None:
        """Check that networks of ``space`` take these images.

        Raises:
            DataError: Channels, image size or classes differ, naming both.
        """
        shapes = self.input_shape, space.geometry.input_shape
        if len(shapes[0]) != len(shapes[1]):
            have, need = ("series" if len(shape) == 2 else "images" for shape in shapes)
            raise DataError(
                f"dataset {self.name!r} has {have}, but space {space.name!r} declares {need}; use other data", self
            )
        of_series = {"in_channels": "channels", "image_size": "length"} if len(shapes[0]) == 2 else {}
        for key in ("in_channels", "image_size", "num_classes"):
            have, need, name = getattr(self, key), getattr(space.geometry, key), of_series.get(key, key)
            if have != need:
                way = f"series: {{{name}: {have}}}" if key in of_series else f"{key}: {have}"
                way += " (the horizon)" if key == "num_classes" and self.task.name == "forecasting" else ""
                raise DataError(
                    f"dataset {self.name!r} has {name} {have}, but space {space.name!r} declares {need}; "
                    f"declare {way} or use other data",
                    self,
                )

    def _check_splits(self) -> None:
        for key, split in self.splits.items():
            shape = _shape(split, key)
            if shape != self.input_shape:
                raise DataError(f"the {key} images of {self.name!r} are {shape}, expected {self.input_shape}", split)
            targets = targets_of(split)
            if targets is not None:
                try:
                    checked = self.task.check(targets, key)
                except DataError as error:
                    raise DataError(f"{self.name!r}: {error}", error.value) from None
                if isinstance(split, ImagesInMemory):
                    split.labels = checked

    def _default_record(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "seed": None,
            "splits": {key: len(split) for key, split in self.splits.items()},
            "fingerprint": fingerprint({key: _labels(split) for key, split in self.splits.items()}),
        }


def targets_of(split: Split) -> Tensor | None:
    """Return the targets of a split, ``(n,)`` or ``(n, outputs)``; None if only its items know them."""
    targets = getattr(split, "labels", None)
    targets = getattr(split, "targets", None) if targets is None else targets
    return None if targets is None else torch.as_tensor(targets)


def _in_memory(split: Split) -> Split:
    if isinstance(split, TensorDataset) and len(split.tensors) == 2:
        return ImagesInMemory(*split.tensors)
    return split


def _labels(split: Split) -> Iterator[tuple[object, object]]:
    """Yield each image's index and target if targets are known, else only the number of images."""
    targets = targets_of(split)
    yield from enumerate(targets.tolist()) if targets is not None else [(len(split), -1)]


def _first_input(split: Split, name: str) -> Tensor:
    if not len(split):
        raise DataError(f"the {name} split is empty; give it at least one image", split)
    item = split[0]
    if not (isinstance(item, (tuple, list)) and len(item) == 2 and isinstance(item[0], Tensor)):
        raise DataError(f"the {name} split must hold (image tensor, label) pairs, got {type(item).__name__}", item)
    if not item[0].is_floating_point():
        raise DataError(f"the {name} images must be floats, got {item[0].dtype}; add a ToTensor transform", item)
    return item[0]


def _shape(split: Split, name: str) -> tuple[int, ...]:
    """Return the shape of a split's inputs; image files know it unread."""
    known = getattr(split, "input_shape", None) if len(split) else None
    return tuple(_first_input(split, name).shape) if known is None else known


def _input_shape(split: Split) -> tuple[int, ...]:
    shape = _shape(split, "train")
    if len(shape) not in (2, 3) or len(set(shape[1:])) > 1:
        raise DataError(f"images must be square (channels, size, size), got {shape}; crop or resize them", split)
    return shape


def _classification(split: Split, number: int | None, names: Sequence[str] | None) -> Task:
    """Return the classification of a split's labels; names are numbers if their count is wrong."""
    known = names or getattr(split, "classes", None) or ()
    if number is None:
        number = _count_classes(split)
    found: Task = get_task("classification")(tuple(map(str, known if len(known) == number else range(number))))
    return found


def _count_classes(split: Split) -> int:
    if isinstance(split, ImagesInMemory):
        return int(split.labels.max()) + 1
    if hasattr(split, "classes"):
        return len(split.classes)
    raise DataError("the number of classes is not known from the train split; give num_classes=", split)


def _check_disjoint(splits: Mapping[str, Split]) -> None:
    for (first, a), (second, b) in combinations(splits.items(), 2):
        if a is b:
            raise DataError(f"{first} and {second} are the same images; give three disjoint splits", a)
        if isinstance(a, Subset) and isinstance(b, Subset) and a.dataset is b.dataset:
            shared = set(a.indices) & set(b.indices)
            if shared:
                raise DataError(f"{first} and {second} share {len(shared)} images, as index {min(shared)}", shared)
