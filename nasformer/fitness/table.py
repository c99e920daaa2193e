"""TableFitness: lookup of measured accuracies in a file or a built-in table (a tabular benchmark)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from nasformer._io import text_digest
from nasformer.architecture import Architecture
from nasformer.dimension import kind_names
from nasformer.errors import ArchitectureError, FitnessError
from nasformer.fitness.table_files import read_rows
from nasformer.fitness.tables import table_names, table_rows
from nasformer.search import Evaluation
from nasformer.space import FeasibleSet


class _Row(NamedTuple):
    """The values of a row, or their means over the rows of one architecture."""

    value: float
    metrics: dict[str, float]
    test: float | None


class TableFitness:
    """Lookup in a table, whose architectures are the search domain.

    Args:
        path: JSON lines, CSV or Parquet; each row has an architecture's dimensions (in CSV, lists as JSON) and the
            value, optionally ``loss`` and the value on test images, in the value's column prefixed with ``test_``;
            other columns are ignored. Or the name of a built-in table, ``digits-exhaustive``.
        value: The value's column; higher is better. The value of an architecture with several rows, such as trainings
            with several seeds, is their mean.

    Attributes:
        spread: Standard deviation of the rows of one architecture, pooled over those with several; else 0.

    Raises:
        FitnessError: The file cannot be read, or a row is not an architecture or has no value.

    >>> table = TableFitness("digits-exhaustive")
    >>> len(table.architectures)
    22113
    """

    def __init__(self, path: str | Path, value: str = "top1") -> None:
        self.path, self.value = Path(path), value
        rows = table_rows(str(path)) if str(path) in table_names() else read_rows(self.path)
        found: dict[Architecture, list[_Row]] = {}
        for number, row in enumerate(rows, start=1):
            architecture, entry = self._parse(number, row)
            found.setdefault(architecture, []).append(entry)
        if not found:
            raise FitnessError(f"{self.path} holds no rows", path)
        self._rows = {architecture: _mean(entries) for architecture, entries in found.items()}
        self.spread = _spread([entry.value for entry in entries] for entries in found.values())

    @property
    def architectures(self) -> list[Architecture]:
        """The architectures of the table."""
        return list(self._rows)

    @property
    def values(self) -> dict[Architecture, float]:
        """The value of each architecture."""
        return {architecture: row.value for architecture, row in self._rows.items()}

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Look up each architecture; missing ones are failures."""
        for architecture in architectures:
            if architecture in self._rows:
                row = self._rows[architecture]
                yield Evaluation(architecture, row.value, metrics=row.metrics)
            else:
                yield Evaluation(architecture, None, error=f"not in {self.path.name}")

    def true_value(self, architecture: Architecture) -> float | None:
        """Return the table's value, or None if missing."""
        row = self._rows.get(architecture)
        return None if row is None else row.value

    def test_value(self, architecture: Architecture) -> float | None:
        """Return the value on test images, or None if missing."""
        row = self._rows.get(architecture)
        return None if row is None else row.test

    def optimum(self, feasible: FeasibleSet) -> float | None:
        """Return the table's maximum within a set, or None if empty."""
        return max((row.value for architecture, row in self._rows.items() if architecture in feasible), default=None)

    def describe(self) -> dict[str, Any]:
        """Return the file's name, number of rows and content hash."""
        return {
            "kind": "table",
            "file": self.path.name,
            "column": self.value,
            "rows": len(self._rows),
            **({"spread": self.spread} if self.spread else {}),
            "sha256": self._digest,
        }

    @cached_property
    def _digest(self) -> str:
        entries = [(architecture, (row.value, row.metrics)) for architecture, row in self._rows.items()]
        return text_digest(repr(sorted(entries, key=str)))

    def _parse(self, number: int, row: Mapping[str, Any]) -> tuple[Architecture, _Row]:
        if not isinstance(row, Mapping):
            raise FitnessError(f"{self.path} row {number}: a row is a mapping of columns, got {row!r}", row)
        try:
            architecture = Architecture.from_dict({key: row[key] for key in kind_names() if row.get(key) is not None})
            value, loss = row[self.value], _optional_number(row, "loss")
            if value is None or not math.isfinite(float(value)):
                raise ValueError(f"{self.value} is {value}, not a number")
            metrics = {} if loss is None else {"loss": loss}
            return architecture, _Row(float(value), metrics, _optional_number(row, f"test_{self.value}"))
        except KeyError:
            known = ", ".join(map(str, row))
            raise FitnessError(f"{self.path} row {number} has no column {self.value!r}; it has {known}", row) from None
        except (ArchitectureError, TypeError, ValueError) as error:
            raise FitnessError(f"{self.path} row {number}: {error}", row) from error


def _mean(rows: Sequence[_Row]) -> _Row:
    if len(rows) == 1:
        return rows[0]
    losses, tests = [r.metrics["loss"] for r in rows if r.metrics], [r.test for r in rows if r.test is not None]
    metrics = {"loss": fmean(losses)} if losses else {}
    return _Row(fmean(row.value for row in rows), metrics, fmean(tests) if tests else None)


def _spread(groups: Iterable[Sequence[float]]) -> float:
    repeated = [values for values in groups if len(values) > 1]
    squares = sum((value - fmean(values)) ** 2 for values in repeated for value in values)
    return math.sqrt(squares / max(1, sum(len(values) - 1 for values in repeated)))


def _optional_number(row: Mapping[str, Any], column: str) -> float | None:
    """Return a number, or None if missing (NaN in Parquet)."""
    number = None if row.get(column) is None else float(row[column])
    return None if number is None or math.isnan(number) else number
