"""Built-in tables by name: arrays without pickles, each with a JSON record of its provenance."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

_HERE = Path(__file__).parent
_SPLITS = {"search": "", "test": "test_"}


def table_names() -> list[str]:
    """Return the names of the built-in tables.

    >>> table_names()
    ['digits-exhaustive']
    """
    return sorted(path.stem for path in _HERE.glob("*.npz"))


def table_record(name: str) -> dict[str, Any]:
    """Return the provenance of a table: space, splits, recipe, versions, and its informativeness.

    >>> table_record("digits-exhaustive")["rows"]
    22113
    """
    record: dict[str, Any] = json.loads((_HERE / f"{name}.json").read_text(encoding="utf-8"))
    return record


def table_rows(name: str) -> Iterator[Mapping[str, Any]]:
    """Yield a table's rows: dimensions, ``top1`` in percent, ``loss``, ``test_top1`` and ``test_loss``."""
    with np.load(_HERE / f"{name}.npz", allow_pickle=False) as arrays:
        columns = {key: arrays[key] for key in arrays.files}
    for split, prefix in _SPLITS.items():
        columns[f"{prefix}top1"] = 100.0 * columns.pop(f"{split}_correct") / table_record(name)["images"][split]
        columns[f"{prefix}loss"] = columns.pop(f"{split}_loss")
    plain = {key: column.tolist() for key, column in columns.items()}
    for values in zip(*plain.values(), strict=True):
        row = dict(zip(plain, values, strict=True))
        depth = row["depth"]  # further layers are padding
        yield {key: value[:depth] if isinstance(value, list) else value for key, value in row.items()}
