"""Opening: the supernet of a space, and the dataset that trained it with the same splits."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasformer.data import Dataset, load_dataset
from nasformer.data.held_out import as_recorded, is_of, ranked_as_recorded, read_held_out, without
from nasformer.data.names import source_of
from nasformer.errors import CheckpointError, DataError, FitnessError
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.supernet.checkpoint import fingerprint
from nasformer.training.weights import UNKNOWN, find_weights, kept_supernets
from nasformer.training.weights import trained_on as data_of

_LOGGER = logging.getLogger(__name__)


def open_supernet(
    space: SearchSpace,
    *,
    supernet: str | Path | None = None,
    data: str | None = None,
    root: str | Path | None = None,
) -> tuple[Supernet, Dataset]:
    """Return the trained supernet of a space and its training dataset, with the same splits.

    Args:
        space: The space.
        supernet: A checkpoint; None: the kept weights of the space (``supernet_file``).
        data: Another dataset by name.
        root: Folder of the dataset.

    Raises:
        FitnessError: There are no weights for the space.
        CheckpointError: The checkpoint is unreadable, or of another space.
        DataError: The dataset cannot be loaded, or its splits differ from those in training.
    """
    net, path = load_supernet(space, supernet, data)
    trained_on = net.metadata.get("training", {}).get("data", {})
    name = data or trained_on.get("name")
    if name is None:
        raise FitnessError(f"{path} does not record its dataset; give --data NAME", path)
    shape: dict[str, Any] = {"image_size": space.geometry.image_size, "in_channels": space.geometry.in_channels}
    held_out = net.metadata.get("held_out")
    dataset = open_dataset(name, trained_on, path, held_out=held_out, root=root, **shape)
    dataset = dataset if held_out is None else ranked_as_recorded(dataset, read_held_out(held_out), trained_on)
    dataset.check(space)
    dataset = dataset.learnt_by(trained_on, path)
    _LOGGER.info("%d search images of %s", len(dataset.search), name)
    return net, dataset


def open_dataset(
    name: str,
    trained_on: Mapping[str, Any],
    path: str | Path,
    *,
    held_out: str | None = None,
    seed: int | None = None,
    **options: Any,
) -> Dataset:
    """Return a dataset, with the splits of the training of weights if they were trained on it.

    Image files may have come, gone or moved since: what the weights' file names as search and test images stays so.

    Args:
        name: The dataset.
        trained_on: Record of the weights' training dataset.
        path: The weights, for messages.
        held_out: Names of the search and test images of that training, from the metadata of the weights.
        seed: Seed of the splits of other data; None: that of the training.
        **options: ``root``, ``image_size`` and ``in_channels`` of ``load_dataset``.

    Raises:
        DataError: The dataset cannot be loaded, or its splits differ from those in training.
    """
    same = same_data(name, trained_on)
    # a network keeps the preprocessing that it learnt with; data in memory without one are normalised by their own
    steps = trained_on if "crop_pct" in trained_on else None
    seed = (trained_on.get("seed") or 0) if same or seed is None else seed
    dataset = load_dataset(name, seed=seed, preprocessing=steps, **options)
    if held_out is not None and is_same(dataset, trained_on, held_out):
        dataset = without(dataset, trained_on.get("skipped", ()))
        if not _same_splits(dataset, trained_on):
            return as_recorded(dataset, read_held_out(held_out), trained_on)
    require_same_splits(dataset, name, trained_on, path)
    return dataset


def same_data(name: str, trained_on: Mapping[str, Any]) -> bool:
    """Whether a name is that of the weights' training dataset."""
    return source_of(name) == source_of(trained_on.get("name"))


def is_same(dataset: Dataset, trained_on: Mapping[str, Any], held_out: str | None) -> bool:
    """Whether a dataset is that of the training of weights, perhaps moved."""
    if same_data(str(dataset.record.get("name")), trained_on):
        return True
    return held_out is not None and is_of(dataset, read_held_out(held_out), trained_on)


def require_same_splits(dataset: Dataset, name: str, trained_on: Mapping[str, Any], path: str | Path) -> None:
    """Check that a dataset has the same splits as in the training of weights, unless it is another dataset.

    Other targets or another horizon of one file may have the same splits: they are compared by their
    ``split_fingerprint``, or where a record has none by the ``fingerprint`` of splits and targets.

    Args:
        dataset: The dataset.
        name: Its name.
        trained_on: Record of the weights' training dataset.
        path: The weights.

    Raises:
        DataError: The splits differ.
    """
    if same_data(name, trained_on) and not _same_splits(dataset, trained_on):
        raise DataError(
            f"the splits of {name!r} differ from those in the training of {path}, so search images may have trained "
            "it; use the original files or give --data NAME",
            path,
        )


def _same_splits(dataset: Dataset, trained_on: Mapping[str, Any]) -> bool:
    of_splits = "split_fingerprint" in trained_on and "split_fingerprint" in dataset.record
    key = "split_fingerprint" if of_splits else "fingerprint"
    return bool(trained_on.get(key) == dataset.record[key])


def load_supernet(
    space: SearchSpace, supernet: str | Path | None = None, data: str | None = None
) -> tuple[Supernet, Path]:
    """Return the supernet of a space and its file; arguments as of ``supernet_file``.

    Raises:
        FitnessError: There are no weights for the space, or those of several datasets.
        CheckpointError: The checkpoint is unreadable, or of another space.
    """
    path = supernet_file(space, supernet, data)
    net = Supernet.load(path, space)
    _LOGGER.info(weights_line(space, path))
    return net, path


def supernet_file(
    space: SearchSpace,
    supernet: str | Path | None = None,
    data: str | Mapping[str, Any] | None = None,
    *,
    searched: Mapping[str, Any] | None = None,
) -> Path:
    """Return the file of a space's supernet.

    Args:
        space: The space.
        supernet: A checkpoint; None: the kept weights of the space, trained on ``data`` if there are such.
        data: Name or record of a dataset.
        searched: Settings of a search: its supernet is returned, from where it was or is kept.

    Raises:
        FitnessError: There are no weights for the space, or those of several datasets.
        CheckpointError: The weights of the search are nowhere.
    """
    if supernet is not None:
        return Path(supernet)
    if searched and (wanted := searched.get("fitness", {}).get("weights")):
        return _searched_supernet(space, wanted, searched.get("supernet"))
    path = (find_weights(space, data) if data else None) or find_weights(space)
    if path is None:
        raise FitnessError(
            f"no trained weights for space {space.name!r}; run 'nasformer train' first, or give --supernet PATH", space
        )
    return path


def _searched_supernet(space: SearchSpace, weights: str, file: str | None) -> Path:
    """Return the file with the weights of a search, given their hash: that of the search, else one kept."""
    there = file is not None and Path(file).is_file()
    files = [Path(str(file))] if there else []
    for path in dict.fromkeys((*files, *(each.file for each in kept_supernets(space) if not each.fault))):
        if fingerprint(Supernet.load(path, space))[:16] == weights:
            return path
    place = "" if file is None else f" of {file}, which {'has others by now' if there else 'is not there'}"
    raise CheckpointError(f"the search used the weights {weights}{place}; give its supernet with --supernet FILE", file)


def weights_line(space: SearchSpace, path: Path) -> str:
    """Return a line that names a space, the file of its weights, and the data that trained them."""
    data, imported = data_of(path)
    made = f"imported from {imported}" if imported else f"trained on {data or UNKNOWN}"
    return f"space {space.name}, weights {path}, {made}"
