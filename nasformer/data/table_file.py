"""CSV and Parquet files of datasets: columns with distinct names, and one line about a file that cannot be read."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nasformer._parquet import read_parquet
from nasformer.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

Table = TypeVar("Table")


def read_table(path: Path, noun: str, **readers: Callable[[Path], Table]) -> Table:
    """Return what the reader of a file's format reads.

    Args:
        path: The file; its suffix determines the format, in upper or lower case.
        noun: What the file is, for messages.
        **readers: The reader of each format, by suffix.

    Raises:
        DataError: The file is missing, damaged, or of another format.
    """
    format = path.suffix.lower().removeprefix(".")
    if format not in readers:
        raise DataError(f"a {noun} is .csv or .parquet, got {path.name!r}; save one sheet as CSV", path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pandas, about columns of several types
            return readers[format](path)
    except (OSError, ValueError, csv.Error) as error:  # pandas' own errors are ValueErrors
        reason = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
        raise DataError(f"cannot read the {noun} {str(path)!r}: {reason}", path) from error


def read_frame(path: Path, **options: Any) -> pd.DataFrame:
    """Return a Parquet file's data frame; an index with a name is a column, as in CSV.

    Args:
        path: The file.
        **options: Further options of pandas.
    """
    frame = read_parquet(path, DataError, **options)
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index(allow_duplicates=True)
    return frame.set_axis(column_names(path, frame.columns), axis=1)


def column_names(path: Path, names: Iterable[object]) -> list[str]:
    """Return the stripped names of columns.

    Raises:
        DataError: One is empty or occurs twice.
    """
    header = [str(name).strip() for name in names]
    for place, name in enumerate(header):
        if not name:
            raise DataError(
                f"column {place + 1} of {path} has no name; name it, or write the table without index", header
            )
        if name in header[:place]:
            raise DataError(f"{path} has two columns {name!r}; rename one", name)
    return header
