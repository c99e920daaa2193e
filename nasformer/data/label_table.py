"""LabelTable: a CSV or Parquet file as columns of text, alike for both formats; errors name row and column."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from nasformer.data.table_file import column_names, read_frame, read_table
from nasformer.errors import DataError, did_you_mean

_LOGGER = logging.getLogger("nasformer.data")


@dataclass(frozen=True)
class LabelTable:
    """Columns of a file.

    Args:
        path: The file.
        columns: The cells of each column, stripped; "" is a missing one.
        rows: Number of each row in the file, from 1 below the header.
    """

    path: Path
    columns: dict[str, list[str]]
    rows: list[int]

    @classmethod
    def read(cls, path: Path) -> LabelTable:
        """Read a file; its suffix determines the format.

        Raises:
            DataError: It is missing, damaged, empty or of another format, or the names of its columns are not distinct.
        """
        header, cells = read_table(path, "label table", csv=_csv, parquet=_parquet)
        if not cells or not cells[0]:
            raise DataError(f"the label table {str(path)!r} has no rows; it must have one per image", path)
        columns = {name: [_clean(cell) for cell in column] for name, column in zip(header, cells, strict=True)}
        return cls(path, columns, list(range(1, len(cells[0]) + 1)))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, column: str) -> list[str]:
        return self.columns[column]

    def require(self, columns: Iterable[str]) -> None:
        """Raise DataError if a column is absent."""
        for name in columns:
            if name not in self.columns:
                raise DataError(f"{self.path} has no column {name!r}; {did_you_mean(name, self.columns)}", name)

    def without_missing(self, columns: Sequence[str], missing: str) -> LabelTable:
        """Return the rows that have a cell in each of the columns.

        Args:
            columns: The columns.
            missing: "refuse", or "drop" the other rows.

        Raises:
            DataError: A cell is missing and ``missing`` is "refuse", or no row is left.
        """
        if missing not in ("refuse", "drop"):
            raise DataError(
                f"missing= is refuse or drop, got {missing!r}; {did_you_mean(missing, ['refuse', 'drop'])}", missing
            )
        kept = []
        for place in range(len(self)):
            empty = next((name for name in columns if not self.columns[name][place]), None)
            if empty is None:
                kept.append(place)
            elif missing == "refuse":
                raise self.fault(place, empty, "the cell is empty; fill it, or drop such rows with missing=drop")
        if not kept:
            raise DataError(f"no row of {self.path} has a cell in each of {', '.join(columns)}; fill them", columns)
        if len(kept) < len(self):
            _LOGGER.warning("%s: %d of %d rows dropped for empty cells", self.path, len(self) - len(kept), len(self))
        return self.subset(kept)

    def subset(self, places: Sequence[int]) -> LabelTable:
        """Return some of the rows."""
        columns = {name: [cells[place] for place in places] for name, cells in self.columns.items()}
        return replace(self, columns=columns, rows=[self.rows[place] for place in places])

    def fault(self, place: int, column: str, words: str) -> DataError:
        """Return an error about a cell."""
        return DataError(f"{self.path} row {self.rows[place]}, column {column!r}: {words}", self.columns[column][place])


def _csv(path: Path) -> tuple[list[str], list[Sequence[str]]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        header, *body = [row for row in csv.reader(lines, strict=True) if row] or [[]]
    for number, row in enumerate(body, start=1):
        if len(row) != len(header):
            wrong = f"{path} row {number} has {len(row)} cells, but the header {len(header)}"
            raise DataError(f"{wrong}; quote cells that contain commas", row)
    return column_names(path, header), list(zip(*body, strict=True))


def _parquet(path: Path) -> tuple[list[str], list[Sequence[str]]]:
    frame = read_frame(path, dtype_backend="numpy_nullable")
    header = list(map(str, frame))
    return header, [_texts(path, name, frame[name]) for name in header]


def _texts(path: Path, name: str, column: Any) -> list[str]:
    cells = column.astype(object).where(column.notna(), "").tolist()
    for number, cell in enumerate(cells, start=1):
        if not isinstance(cell, (str, int, float, date)):
            found = f"{path} row {number}, column {name!r} holds {type(cell).__name__}"
            raise DataError(f"{found}; a cell is text, a number, a boolean or a date", cell)
    return [str(cell) for cell in cells]


def _clean(cell: str) -> str:
    text = cell.strip()
    return "" if text.lower() == "nan" else text
