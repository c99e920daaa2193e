"""JSON of a comparison and its analysis; non-finite numbers become null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nasformer._io import to_json
from nasformer.compare import Comparison, TaskRecord

if TYPE_CHECKING:
    from nasformer.report.statistics import Analysis


def plain_json(comparison: Comparison, analysis: Analysis) -> str:
    """Return records, runs and analysis."""
    kept = ("title", "command", "seeds", "settings", "versions", "machine", "tasks", "entrants")
    record = {name: plain(getattr(comparison, name)) for name in kept}
    cells = plain(comparison.cells.to_dict(orient="records"))
    said = {"summary": analysis.summary, "warnings": [str(each) for each in analysis.warnings]}
    return to_json({**record, "cells": cells, "analysis": {**plain(analysis), **said}}, indent=1) + "\n"


def plain(value: Any) -> Any:
    """Return nested data as plain JSON values.

    >>> plain({("a", "b"): (np.float64(1.5), float("nan"))})
    {'a, b': [1.5, None]}
    """
    if isinstance(value, TaskRecord):
        return plain(value.to_dict())
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {_key(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _key(key: Any) -> str:
    return ", ".join(map(str, key)) if isinstance(key, tuple) else str(key)
