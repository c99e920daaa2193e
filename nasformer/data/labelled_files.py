"""table:FILE: images on disk with their targets in a label table, one row per image, decoded on demand."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nasformer._spec import absolute
from nasformer.data.dataset import Dataset
from nasformer.data.image_files import from_samples
from nasformer.data.label_table import LabelTable
from nasformer.data.label_targets import TASKS, Targets, holds_lists, infer_task, read_targets
from nasformer.data.names import TABLE, join_name, texts
from nasformer.data.splits import Indices, fingerprint
from nasformer.errors import DataError, did_you_mean
from nasformer.tasks import task_names

IMAGE_COLUMNS = ("image", "file", "filename", "path")
SPLIT_COLUMN = "split"
FRACTIONS = {"train": 0.6, "search": 0.2, "test": 0.2}
_SPLITS = {"train": "train", "search": "search", "val": "search", "validation": "search", "test": "test"}
_SHOWN = 8
_LOGGER = logging.getLogger("nasformer.data")


def load_label_table(
    path: str | Path,
    *,
    seed: int = 0,
    image_size: int = 224,
    image: str | None = None,
    root: str | Path | None = None,
    targets: str | Sequence[str] | None = None,
    split: str | None = None,
    task: str | None = None,
    loss: str | None = None,
    missing: str | None = None,
    in_channels: int = 3,
) -> Dataset:
    """Return the dataset of a label table.

    The options from ``image`` to ``missing`` are part of the recorded name, as in
    ``table:labels.csv?task=regression&targets=age``.

    Args:
        path: A CSV or Parquet file with one row per image. Cells "" and "nan" are missing.
        seed: Seed of the splits.
        image_size: Crop size, in pixels.
        image: Column of the images' paths; None: the first of "image", "file", "filename" and "path", else the first
            column whose first cell is an existing file.
        root: Folder that the paths are relative to; None: that of the table.
        targets: Target columns, as a list or separated by commas; None: all but those of image and split.
        split: Column of the splits "train", "search" (or "val", "validation") and "test"; None: "split", if there is
            one. A split without rows is held out of train: without a column 20 % each for search and test, else a
            quarter; stratified by class or by labels, at random for a regression.
        task: "classification", "multi-label" or "regression"; None: inferred from the target columns, see
            ``label_targets.infer_task``.
        loss: Loss of a regression: "mse" (default) or "smooth_l1".
        missing: "refuse" (default), or "drop" rows with a missing cell. An empty list of labels is not missing.
        in_channels: 3, or 1 for grey.

    Raises:
        DataError: The table or an image is missing, a cell does not fit, an image is in two splits, or a class or a
            label has no train image.
    """
    options = texts(
        {
            **{"image": image, "root": root, "targets": targets, "split": split},
            **{"task": task, "loss": loss, "missing": missing},
        }
    )
    table = LabelTable.read(absolute(path))
    folder = absolute(options.get("root", table.path.parent))
    image, split = _image_column(table, options.get("image"), folder), _split_column(table, options.get("split"))
    columns = _target_columns(table, options.get("targets"), [image, *([split] if split else [])])
    kind = _task(table, columns, options.get("task"))
    filled = [] if holds_lists(table, columns, kind) else columns
    table = table.without_missing([image, *([split] if split else []), *filled], options.get("missing", "refuse"))
    table, files = _distinct(table, image, split, columns, folder)
    found = read_targets(table, columns, kind)
    parts = _parts(table, found, split, seed)
    fitted = found.fit(parts["train"], loss)
    values, cells = found.values.tolist(), table[image]
    data = from_samples(
        join_name(TABLE, path, options),
        {key: [(files[row], values[row]) for row in rows] for key, rows in parts.items()},
        {key: [cells[row] for row in rows] for key, rows in parts.items()},
        found.outputs,
        image_size,
        seed=seed,
        channels=in_channels,
        task=fitted,
    )
    data.record["split_fingerprint"] = fingerprint({key: [(cells[row], "") for row in parts[key]] for key in parts})
    return data


def _image_column(table: LabelTable, name: str | None, folder: Path) -> str:
    if name is not None:
        table.require([name])
        return name
    named = (known for known in IMAGE_COLUMNS if known in table.columns)
    files = (key for key, cells in table.columns.items() if cells[0] and (folder / cells[0]).is_file())
    found = next(named, None) or next(files, None)
    if found is None:
        columns = ", ".join(table.columns)
        raise DataError(
            f"{table.path} has no column of image files in {folder}, only {columns}; name it with image=", table.path
        )
    return found


def _split_column(table: LabelTable, name: str | None) -> str | None:
    if name is not None:
        table.require([name])
        return name
    return SPLIT_COLUMN if SPLIT_COLUMN in table.columns else None


def _target_columns(table: LabelTable, targets: str | None, others: Sequence[str]) -> list[str]:
    columns = [name for name in table.columns if name not in others] if targets is None else targets.split(",")
    table.require(columns)
    wrong = next((name for place, name in enumerate(columns) if name in others or name in columns[:place]), None)
    if wrong is not None:
        raise DataError(f"column {wrong!r} of {table.path} cannot be a target, or not twice; remove it", wrong)
    if not columns:
        raise DataError(f"{table.path} has no target column, only {', '.join(table.columns)}; add one", table.path)
    return columns


def _task(table: LabelTable, columns: Sequence[str], name: str | None) -> str:
    if name is None:
        inferred = infer_task(table, columns)
        shown = ", ".join(columns[:_SHOWN]) + (f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else "")
        _LOGGER.warning("%s: %s, inferred from %s; task= overrides", table.path, inferred, shown)
        return inferred
    if name not in task_names():
        raise DataError(f"unknown task {name!r}; {did_you_mean(name, TASKS)}", name)
    if name not in TASKS:
        raise DataError(f"{name} does not learn from a label table; its task is one of {', '.join(TASKS)}", name)
    return name


def _distinct(
    table: LabelTable, image: str, split: str | None, columns: Sequence[str], folder: Path
) -> tuple[LabelTable, list[Path]]:
    """Return the table with one row per image, and its files."""
    first: dict[str, int] = {}
    for place, cell in enumerate(table[image]):
        file = os.path.normpath(folder / cell)
        if file in first:
            _check_repeated(table, first[file], place, image, split, columns)
        elif not os.path.isfile(file):
            raise table.fault(place, image, f"there is no file {file}; paths are relative to root= ({folder})")
        else:
            first[file] = place
    if len(first) < len(table):
        _LOGGER.warning("%s: %d repeated rows dropped", table.path, len(table) - len(first))
    return table.subset(list(first.values())), [Path(file) for file in first]


def _check_repeated(
    table: LabelTable, first: int, again: int, image: str, split: str | None, columns: Sequence[str]
) -> None:
    """Raise DataError if two rows of an image differ in their split, which leaks, or in their targets."""
    for column in (*([split] if split else []), *columns):
        one, other = table[column][first], table[column][again]
        if one != other:
            words = f"the image {table[image][again]!r} is also in row {table.rows[first]}, with {one!r}, not {other!r}"
            raise table.fault(again, column, f"{words}; keep one row")


def _parts(table: LabelTable, targets: Targets, column: str | None, seed: int) -> dict[str, Indices]:
    """Return the rows of each split.

    Raises:
        DataError: A split is unknown or empty, or a class or a label has no train image.
    """
    given = _given(table, column)
    absent = {key: share for key, share in FRACTIONS.items() if key == "train" or key not in given}
    if len(absent) > 1:
        shares = {key: share / sum(absent.values()) for key, share in absent.items()}
        given = {**given, **targets.split(given["train"], shares, seed)}
    for name, occurs in zip(targets.outputs, targets.present(given["train"]), strict=True):
        if not occurs:
            _raise_absent(table, targets, name, given)
    return {key: given[key] for key in FRACTIONS}


def _given(table: LabelTable, column: str | None) -> dict[str, Indices]:
    if column is None:
        return {"train": np.arange(len(table))}
    for place, cell in enumerate(table[column]):
        if cell.lower() not in _SPLITS:
            raise table.fault(place, column, f"unknown split {cell!r}; {did_you_mean(cell, _SPLITS)}")
    splits = np.array([_SPLITS[cell.lower()] for cell in table[column]])
    if "train" not in splits:
        raise DataError(f"column {column!r} of {table.path} has no row of split train; add some", column)
    return {key: np.flatnonzero(splits == key) for key in FRACTIONS if key in splits}


def _raise_absent(table: LabelTable, targets: Targets, name: str, parts: dict[str, Indices]) -> None:
    place = targets.outputs.index(name)
    noun = "class" if targets.task == "classification" else "label"
    there = [key for key, rows in parts.items() if targets.present(rows)[place]]
    where = f"only {' and '.join(there)} images" if there else "no image at all"
    raise DataError(f"{table.path}: {noun} {name!r} has no train image, {where}; move or remove it", name)
