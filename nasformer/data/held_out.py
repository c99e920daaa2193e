"""Splits of image files by name: images are left out, and recorded splits outlive files that go and folders that move.

A checkpoint holds the names of the search and test images of its training. Where the files have changed since, these
keep their split and every other file trains: an image that trained the weights is never among the search images.
"""

from __future__ import annotations

import base64
import json
import logging
import zlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from copy import copy
from typing import Any

from nasformer._parse import parse_json
from nasformer.data.dataset import Dataset
from nasformer.data.image_files import ImageFiles, described
from nasformer.data.splits import fingerprint
from nasformer.errors import DataError
from nasformer.tasks import task_of

_HELD_OUT = ("search", "test")
_MAX_BYTES = 2**28
_LOGGER = logging.getLogger("nasformer.data")

HeldOut = dict[str, list[str]]
"""Names of the search and the test images."""


def held_out(data: Dataset) -> str | None:
    """Return the names of the search and test images as one text; None: not of image files."""
    if image_splits(data) is None:
        return None
    names = json.dumps(_held_out_names(data))
    return base64.b85encode(zlib.compress(names.encode(), 9)).decode()


def _held_out_names(data: Dataset) -> HeldOut:
    return {key: list(split.names) for key, split in (image_splits(data) or {}).items() if key in _HELD_OUT}


def read_held_out(text: str) -> HeldOut:
    """Read the text of ``held_out``.

    Raises:
        DataError: It is damaged.
    """
    try:
        names = parse_json(zlib.decompressobj().decompress(base64.b85decode(text), _MAX_BYTES).decode())
        return {key: [str(name) for name in names[key]] for key in _HELD_OUT}
    except (ValueError, KeyError, TypeError, AttributeError, zlib.error) as error:
        raise DataError("the names of the search images in the weights' file are damaged", text[:20]) from error


def image_splits(data: Dataset) -> dict[str, ImageFiles] | None:
    """Return the splits if they are image files, else None."""
    found = {key: split for key, split in data.splits.items() if isinstance(split, ImageFiles) and split.on_disk}
    return found if len(found) == len(data.splits) else None


def without(data: Dataset, names: Collection[str]) -> Dataset:
    """Return a dataset without some image files, which its record lists as "skipped".

    Raises:
        DataError: A split would be empty.
    """
    splits = image_splits(data)
    if not names or splits is None:
        return data
    gone = {*names, *data.record.get("skipped", ())}
    kept = {key: [place for place, name in enumerate(s.names) if name not in gone] for key, s in splits.items()}
    return _rebuilt(data, {key: splits[key].subset(places) for key, places in kept.items()}, {"skipped": sorted(gone)})


def as_recorded(data: Dataset, recorded: HeldOut, trained_on: Mapping[str, Any]) -> Dataset:
    """Return a dataset with the splits of a training, although files have come or gone since.

    Args:
        data: The files as they are now.
        recorded: Names of the training's search and test images.
        trained_on: Record of the training's data.

    Raises:
        DataError: No image is left of a split.
    """
    splits = image_splits(data)
    if splits is None:
        return data
    pool = {name: (split, place) for split in splits.values() for place, name in enumerate(split.names)}
    names: dict[str, list[str]] = {key: [name for name in recorded[key] if name in pool] for key in _HELD_OUT}
    held = {name for part in names.values() for name in part}
    names["train"] = [name for split in splits.values() for name in split.names if name not in held]
    gone = {key: len(recorded[key]) - len(names[key]) for key in _HELD_OUT}
    told = ", ".join(f"{count} of {len(recorded[key])} {key} images are gone" for key, count in gone.items() if count)
    _LOGGER.warning("%s keeps the splits of the training%s", data.name, told and f", but {told}")
    other = _rebuilt(data, {key: _files([pool[name] for name in names[key]], splits["train"]) for key in splits}, {})
    with suppress(DataError):  # statistics of targets are those of the training, not of the files now
        other.task = data.task.of_weights(task_of(trained_on))
        other.record |= other.task.record()
    return other


def ranked_as_recorded(data: Dataset, recorded: HeldOut, trained_on: Mapping[str, Any]) -> Dataset:
    """Return a dataset with the fingerprints of a training if its search and test images are the same.

    What ranks and tests architectures is unchanged then, whatever has come or gone among the train images.
    """
    if image_splits(data) is None or _held_out_names(data) != recorded:
        return data
    other = copy(data)
    kept = ("splits", "fingerprint", "split_fingerprint")
    other.record = {**data.record, **{key: trained_on[key] for key in kept if key in trained_on}}
    return other


def is_of(data: Dataset, recorded: HeldOut, trained_on: Mapping[str, Any]) -> bool:
    """Whether files are those of a training, perhaps moved: its outputs, and most of its search and test images."""
    with suppress(DataError):
        if task_of(trained_on).outputs != data.task.outputs:
            return False
    known = {name for split in (image_splits(data) or {}).values() for name in split.names}
    names = [name for part in recorded.values() for name in part]
    return 2 * sum(name in known for name in names) > len(names)


def _files(places: Sequence[tuple[ImageFiles, int]], like: ImageFiles) -> ImageFiles:
    samples = [split.samples[place] for split, place in places]
    return type(like)(samples, like.classes, like.transform, [split.names[place] for split, place in places])


def _rebuilt(data: Dataset, splits: Mapping[str, ImageFiles], changes: Mapping[str, Any]) -> Dataset:
    for key, split in splits.items():
        if not len(split):
            raise DataError(f"no {key} image of {data.name!r} is left; add images, or train anew", data.name)
    other = copy(data)
    other.train, other.search, other.test = splits["train"], splits["search"], splits["test"]
    other.record = {**data.record, **described(splits), **changes}
    if "split_fingerprint" in data.record:
        names = {key: [(name, "") for name in split.names] for key, split in splits.items()}
        other.record["split_fingerprint"] = fingerprint(names)
    return other
