"""Parquet files as data frames; pyarrow is optional, and its errors become one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nasformer.errors import NasformerError

if TYPE_CHECKING:
    from pandas import DataFrame


def read_parquet(path: Path, error: type[NasformerError], **options: Any) -> DataFrame:
    """Return a file's data frame.

    Args:
        path: The file.
        error: The error raised.
        **options: Further options of pandas.

    Raises:
        NasformerError: pyarrow is not installed, or the file is damaged.
        OSError: The file cannot be opened.
    """
    import pandas as pd

    try:
        return pd.read_parquet(path, **options)
    except ImportError:
        raise error(f"reading {path.name} needs pyarrow: pip install 'nasformer[parquet]'", path) from None
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as fault:  # damaged files raise arbitrary errors
        raise error(f"{str(path)!r} is not a readable Parquet file: {_first_line(fault)}", path) from fault


def _first_line(fault: Exception) -> str:
    return (str(fault).splitlines() or [type(fault).__name__])[0]
