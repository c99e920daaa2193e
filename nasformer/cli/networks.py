"""Evaluation of trained and exported networks on labelled data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer.errors import DataError

if TYPE_CHECKING:
    from nasformer.data import Dataset
    from nasformer.data.batches import Readers
    from nasformer.tasks import Task

_FILES = ("network.safetensors", "model.safetensors", "model.onnx", "model.pt2")


@dataclass(frozen=True)
class NetworkFigures:
    """The figures of a network on labelled data.

    Attributes:
        data: Name of the data.
        split: "test", "search" or "all".
        task: The task.
        about: What the network is, ready for JSON.
        figures: Those of ``assess``.
    """

    data: str
    split: str
    task: Task
    about: Mapping[str, Any]
    figures: Mapping[str, Any]


def is_network(target: Path) -> bool:
    """Whether a target is the file of a trained or exported network, or a folder of one that is no search."""
    if target.is_dir():
        has = [name for name in _FILES if (target / name).is_file()]
        return any(target.glob("models/*")) or (bool(has) and not (target / "result.jsonl").is_file())
    return target.suffix in (".safetensors", ".onnx", ".pt2") and target.is_file()


def evaluate_network(
    target: str, data: str | None, root: Path | None, split: str, device: str, readers: Readers
) -> NetworkFigures:
    """Return the figures of a network on a split of its training dataset, or on all images of other data.

    Args:
        target: The network, or its folder.
        data: Other data, by name; None: those that it was trained on.
        root: Folder of the data.
        split: "test" or "search".
        device: Device of networks that are not exported.
        readers: Processes that read images.

    Raises:
        DataError: The data do not fit the network.
    """
    path = Path(target)
    if path.suffix == ".safetensors" or any((path / name).is_file() for name in _FILES[:2]):
        return _trained(target, data, root, split, device, readers)
    return _exported(path, data, root, split)


def _trained(
    target: str, data: str | None, root: Path | None, split: str, device: str, readers: Readers
) -> NetworkFigures:
    from nasformer.cli.source import read_source
    from nasformer.training.assessment import assess, outputs_on_test
    from nasformer.training.device import find_device

    source = read_source(target, None, None, None, data)
    dataset, judged = _judged(source.dataset(data, root), source.data, split)
    outputs, targets = outputs_on_test(source.net.eval(), dataset, find_device(device), readers=readers)
    about = {"architecture": source.net.architecture.to_dict()}
    return NetworkFigures(dataset.name, judged, dataset.task, about, assess(dataset.task, outputs, targets))


def _exported(path: Path, data: str | None, root: Path | None, split: str) -> NetworkFigures:
    from nasformer.data import resizable
    from nasformer.export.assessment import assess_model
    from nasformer.export.opened import open_model
    from nasformer.training.opening import open_dataset

    model = open_model(path)
    known, record = model.description, model.description.provenance.get("data", {})
    name = data or record.get("name")
    if name is None:
        raise DataError(f"{path} does not record its dataset; give --data NAME", path)
    channels, *_, size = known.input_shape
    shape: dict[str, Any] = {"image_size": size if resizable(name) else None, "in_channels": channels, "root": root}
    steps = known.preprocessing
    trained_on = {**record, **({} if steps is None else steps.to_dict())}
    dataset = open_dataset(name, trained_on, model.path, **shape).learnt_by(record, model.path)
    dataset, judged = _judged(dataset, record, split)
    about = {"format": known.format, "dtype": known.dtype}
    return NetworkFigures(dataset.name, judged, dataset.task, about, assess_model(model, dataset))


def _judged(dataset: Dataset, trained_on: Mapping[str, Any], split: str) -> tuple[Dataset, str]:
    """Return a dataset whose test split is judged, and what it is: all examples of data that trained nothing."""
    from nasformer.training.opening import same_data

    judged = split if same_data(dataset.name, trained_on) else "all"
    return dataset.testing(judged), judged


def most_mistaken(counts: Sequence[int], place: int, names: Sequence[str]) -> str:
    """Return the class that another is most often taken for, with its count; empty if it never is.

    >>> most_mistaken([8, 2, 0], 0, ["cat", "dog", "fox"])
    'dog (2)'
    """
    wrong = [0 if number == place else count for number, count in enumerate(counts)]
    return f"{names[wrong.index(max(wrong))]} ({max(wrong)})" if max(wrong, default=0) else ""
