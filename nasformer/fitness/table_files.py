"""Table files: reading rows of JSON lines, CSV and Parquet; errors name the row."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nasformer._parquet import read_parquet
from nasformer._parse import parse_json
from nasformer.dimension import kind_names
from nasformer.errors import FitnessError, shown
from nasformer.fitness.tables import table_names


def read_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a file; its suffix determines the format.

    Raises:
        FitnessError: The file cannot be read, or has another format.
    """
    try:
        if path.suffix in (".jsonl", ".json"):
            yield from _json_lines(path)
        elif path.suffix == ".csv":
            yield from _csv(path)
        elif path.suffix == ".parquet":
            yield from _parquet(path)
        else:
            shipped = ", ".join(table_names())
            raise FitnessError(f"a table is .jsonl, .csv or .parquet, or is named {shipped}; got {path.name!r}", path)
    except OSError as error:
        raise FitnessError(f"cannot read the table {str(path)!r}: {error.strerror}", path) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise FitnessError(f"cannot read the table {str(path)!r}: {error}", path) from error


def _json_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield parse_json(line, finite=False)
                except ValueError as error:
                    raise FitnessError(f"{path} line {number} is not JSON: {error}", line) from error


def _csv(path: Path) -> Iterator[Mapping[str, Any]]:
    named = kind_names()
    with path.open(encoding="utf-8-sig", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=1):
            try:
                yield {key: parse_json(cell) if key in named else cell or None for key, cell in row.items()}
            except (TypeError, ValueError):
                raise FitnessError(
                    f"{path} row {number}: dimensions are JSON, as 192 or [3, 4], got {shown(row)}", row
                ) from None


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    yield from read_parquet(path, FitnessError).to_dict(orient="records")  # type: ignore[misc]
