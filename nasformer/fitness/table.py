"""TableFitness: accuracies that somebody measured, read from a file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nasformer.architecture import Architecture
from nasformer.errors import ArchitectureError, FitnessError
from nasformer.search import Evaluation

_DIMENSIONS = ("embed_dim", "depth", "num_heads", "mlp_ratio")


class TableFitness:
    """The value of each architecture of a table; the search is confined to these.

    Args:
        path: JSON lines, CSV or Parquet; each row holds an architecture's dimensions (in CSV, the
            lists as JSON) and the value. Further columns are left alone, ``loss`` is kept.
        value: The column of the value, higher is better.

    Raises:
        FitnessError: The file cannot be read, a row is no architecture or has no value, or one
            architecture has two values.
    """

    def __init__(self, path: str | Path, value: str = "top1") -> None:
        self.path, self.value = Path(path), value
        self._rows: dict[Architecture, tuple[float, dict[str, float]]] = {}
        for number, row in enumerate(_read(self.path), start=1):
            architecture, entry = self._parse(number, row)
            if self._rows.setdefault(architecture, entry) != entry:
                raise FitnessError(f"{self.path} row {number}: {architecture} has a second value", row)
        if not self._rows:
            raise FitnessError(f"{self.path} holds no rows", path)

    @property
    def architectures(self) -> list[Architecture]:
        """Every architecture of the table."""
        return list(self._rows)

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Yield the table's value of each architecture; one that it lacks has failed."""
        for architecture in architectures:
            if architecture in self._rows:
                value, metrics = self._rows[architecture]
                yield Evaluation(architecture, value, metrics=metrics)
            else:
                yield Evaluation(architecture, None, error=f"not in {self.path.name}")

    def describe(self) -> dict[str, Any]:
        """Return the file's name, its size and a hash of what it says."""
        digest = hashlib.sha256(repr(sorted(self._rows.items(), key=str)).encode()).hexdigest()[:16]
        return {
            "kind": "table",
            "file": self.path.name,
            "column": self.value,
            "rows": len(self._rows),
            "sha256": digest,
        }

    def _parse(self, number: int, row: Mapping[str, Any]) -> tuple[Architecture, tuple[float, dict[str, float]]]:
        if not isinstance(row, Mapping):
            raise FitnessError(f"{self.path} row {number}: a row is a mapping of columns, got {row!r}", row)
        try:
            architecture = Architecture.from_dict({key: row[key] for key in _DIMENSIONS if key in row})
            metrics = {"loss": float(row["loss"])} if row.get("loss") is not None else {}
            value = row[self.value]
            if value is None or not math.isfinite(float(value)):
                raise ValueError(f"{self.value} is {value}, not a number")
            return architecture, (float(value), metrics)
        except KeyError:
            known = ", ".join(map(str, row))
            raise FitnessError(f"{self.path} row {number} has no column {self.value!r}; it has {known}", row) from None
        except (ArchitectureError, TypeError, ValueError) as error:
            raise FitnessError(f"{self.path} row {number}: {error}", row) from error


def _read(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        if path.suffix in (".jsonl", ".json"):
            yield from _json_lines(path)
        elif path.suffix == ".csv":
            yield from _csv(path)
        elif path.suffix == ".parquet":
            yield from _parquet(path)
        else:
            raise FitnessError(f"a table is .jsonl, .csv or .parquet, got {path.name!r}", path)
    except OSError as error:
        raise FitnessError(f"cannot read the table {str(path)!r}: {error.strerror}", path) from error
    except UnicodeDecodeError as error:
        raise FitnessError(f"cannot read the table {str(path)!r}: {error}", path) from error


def _json_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise FitnessError(f"{path} line {number} is no JSON: {error}", line) from error


def _csv(path: Path) -> Iterator[Mapping[str, Any]]:
    import csv

    with path.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=1):
            try:
                yield {key: json.loads(cell) if key in _DIMENSIONS else cell or None for key, cell in row.items()}
            except (TypeError, ValueError):
                raise FitnessError(
                    f"{path} row {number}: dimensions are JSON, as 192 or [3, 4], got {row}", row
                ) from None


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    import pandas as pd

    try:
        frame = pd.read_parquet(path)
    except ImportError:
        raise FitnessError(f"reading {path.name} needs pyarrow: pip install 'nasformer[parquet]'", path) from None
    except Exception as error:  # whatever the reader says of a damaged file
        raise FitnessError(f"{str(path)!r} is no readable Parquet file: {error}", path) from error
    yield from frame.to_dict(orient="records")  # type: ignore[misc]
