"""Targets of a label table: its task, inferred from the columns' cells, and their values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer.data.label_table import LabelTable
from nasformer.data.splits import Indices, stratified, stratified_labels
from nasformer.errors import DataError
from nasformer.tasks import Task, get_task

SEPARATORS = (";", "|", ",")
"""Between the labels of a cell; the first that occurs in the column counts."""

TASKS = ("classification", "multi-label", "regression")
_BINARY = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0, "false": 0.0, "true": 1.0}
_INTEGER = re.compile(r"[+-]?\d+(\.0*)?")  # Parquet writes integers with gaps as 1.0


@dataclass(frozen=True)
class Targets:
    """Targets of the rows of a table.

    Args:
        task: Name of the task.
        outputs: Names of the classes, labels or numbers.
        values: Class indices ``(rows,)``, or floats ``(rows, outputs)``.
    """

    task: str
    outputs: tuple[str, ...]
    values: NDArray[Any]

    def fit(self, train: Indices, loss: str | None) -> Task:
        """Return the task; a regression standardises by the train rows.

        Raises:
            DataError: A loss for a task that has no choice, or an invalid one; or a target that does not vary.
        """
        if loss is not None and self.task != "regression":
            raise DataError(f"loss= is for regression, but the task is {self.task}; leave it out", loss)
        if self.task == "regression":
            options = {} if loss is None else {"criterion": loss}
            fitted: Task = get_task(self.task).fit(self.values[train], self.outputs, **options)
            return fitted
        task: Task = get_task(self.task)(self.outputs)
        return task

    def present(self, rows: Indices) -> NDArray[np.bool_]:
        """Return whether each class or label occurs in some rows; numbers always do."""
        if self.task == "regression":
            return np.ones(len(self.outputs), dtype=bool)
        if self.task == "classification":
            return np.isin(np.arange(len(self.outputs)), self.values[rows])
        return np.asarray(self.values[rows].any(axis=0))

    def split(self, rows: Indices, fractions: dict[str, float], seed: int) -> dict[str, Indices]:
        """Split rows into named parts: stratified by class or labels, or at random.

        Raises:
            DataError: There are too few rows, in all or of a class.
        """
        values = self.values[rows]
        if self.task == "classification":
            parts = stratified(values, fractions, seed, self.outputs)
        else:
            parts = stratified_labels(values if self.task == "multi-label" else values[:, :0], fractions, seed)
        return {key: rows[places] for key, places in parts.items()}


def infer_task(table: LabelTable, columns: Sequence[str]) -> str:
    """Return the task of target columns by their cells; empty ones do not count.

    One column: text is a classification, or multi-label if a cell has a separator; 0 and 1, or integers (2.0 is one)
    under the name "class" or "label", are a classification, other numbers a regression. Several columns of 0 and 1 are
    multi-label, of other numbers a regression.

    Raises:
        DataError: Text among several columns.
    """
    kinds = {name: _kind([cell for cell in table[name] if cell]) for name in columns}
    text = [name for name, kind in kinds.items() if kind == "text"]
    if len(columns) == 1:
        return _of_one(columns[0], kinds[columns[0]], table[columns[0]])
    if text:
        raise DataError(
            f"{table.path}: column {text[0]!r} holds text, among {len(columns)} target columns; "
            "name the targets with targets=",
            text,
        )
    return "multi-label" if set(kinds.values()) == {"binary"} else "regression"


def holds_lists(table: LabelTable, columns: Sequence[str], task: str) -> bool:
    """Whether a multi-label table has one column with the labels of each image; an empty cell then has none."""
    return task == "multi-label" and len(columns) == 1 and _kind([c for c in table[columns[0]] if c]) != "binary"


def read_targets(table: LabelTable, columns: Sequence[str], task: str) -> Targets:
    """Return the targets of a table without missing cells.

    Raises:
        DataError: A cell does not fit the task.
    """
    if task == "classification":
        return _classes(table, columns)
    if task == "regression":
        return Targets(task, tuple(columns), _numbers(table, columns))
    if holds_lists(table, columns, task):
        return _lists(table, columns[0])
    return Targets(task, tuple(columns), _flags(table, columns))


def _kind(cells: Sequence[str]) -> str:
    if all(cell.lower() in _BINARY for cell in cells):
        return "binary"
    if all(_INTEGER.fullmatch(cell) for cell in cells):
        return "integer"
    return "text" if any(_number(cell) is None for cell in cells) else "number"


def _of_one(name: str, kind: str, cells: Sequence[str]) -> str:
    if kind == "text":
        return "multi-label" if any(mark in cell for cell in cells for mark in SEPARATORS) else "classification"
    counted = kind == "integer" and name.lower() in ("class", "label")
    return "classification" if kind == "binary" or counted else "regression"


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _classes(table: LabelTable, columns: Sequence[str]) -> Targets:
    if len(columns) != 1:
        raise DataError(
            f"a classification has one target column, got {', '.join(columns)}; name it with targets=", columns
        )
    cells = table[columns[0]]
    numbered = all(_INTEGER.fullmatch(cell) for cell in cells)
    if numbered:
        cells = [cell.partition(".")[0] for cell in cells]
    classes = sorted(set(cells), key=lambda cell: (int(cell) if numbered else 0, cell))
    if len(classes) < 2:
        words = f"column {columns[0]!r} of {table.path} has one class, {classes[0]!r}"
        raise DataError(f"{words}; add images of others, or name other targets with targets=", columns)
    index = {name: place for place, name in enumerate(classes)}
    return Targets("classification", tuple(classes), np.array([index[cell] for cell in cells], dtype=np.int64))


def _lists(table: LabelTable, column: str) -> Targets:
    cells = table[column]
    mark = next((mark for mark in SEPARATORS if any(mark in cell for cell in cells)), SEPARATORS[0])
    told = [{label.strip() for label in cell.split(mark)} - {""} for cell in cells]
    labels = sorted(set().union(*told))
    if not labels:
        raise DataError(f"column {column!r} of {table.path} has no label; write them as a;b", column)
    values = np.array([[label in found for label in labels] for found in told], dtype=np.float32)
    return Targets("multi-label", tuple(labels), values)


def _flags(table: LabelTable, columns: Sequence[str]) -> NDArray[np.float32]:
    for name in columns:
        for place, cell in enumerate(table[name]):
            if cell.lower() not in _BINARY:
                raise table.fault(place, name, f"{cell!r} is neither 0 nor 1; a label is one of them")
    return np.array([[_BINARY[cell.lower()] for cell in table[name]] for name in columns], dtype=np.float32).T


def _numbers(table: LabelTable, columns: Sequence[str]) -> NDArray[np.float32]:
    most = float(np.finfo(np.float32).max)
    for name in columns:
        for place, cell in enumerate(table[name]):
            value = _number(cell)
            if value is None:
                raise table.fault(place, name, f"{cell!r} is no number; name the numeric columns with targets=")
            if not abs(value) <= most:
                raise table.fault(place, name, f"{cell!r} is not a finite number; repair or remove it")
    return np.array([[float(cell) for cell in table[name]] for name in columns], dtype=np.float32).T
