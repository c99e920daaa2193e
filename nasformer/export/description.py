"""Metadata of an exported file: input, task, sizes, costs and provenance, as plain values.

They are embedded in the file, so that it is usable alone, and written beside it as ``nasformer.json``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nasformer._io import to_json
from nasformer._parse import parse_json
from nasformer.cost.geometry import Geometry
from nasformer.data.picture import CROP_MODES, INTERPOLATIONS
from nasformer.errors import ExportError, shown
from nasformer.export.formats import DTYPES, format_names
from nasformer.export.preprocessing import Preprocessing
from nasformer.tasks import Task, task_of

FORMAT_VERSION = 2
"""The newest that is read: 2 for series and for other tasks than classification, else 1, as in nasformer 0.1."""

KEY = "nasformer"
"""Metadata key in the file."""

FILE = "nasformer.json"


@dataclass(frozen=True)
class Description:
    """Input, output and provenance of an exported network.

    Args:
        name: Name of the network.
        format: One of ``formats.format_names()``.
        dtype: Compute precision, one of ``formats.DTYPES``; inputs and outputs are float32.
        preprocessing: Preprocessing of images; None: series, which the task's mean and standard deviation standardise.
        task: What was learnt: the names and the meaning of the outputs.
        network: Architecture, geometry, pooling, params and macs.
        provenance: Space, weights, data, recipe, versions, licence, as far as known.
    """

    name: str
    format: str
    dtype: str
    preprocessing: Preprocessing | None
    task: Task
    network: Mapping[str, Any]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of an input: (channels, height, width), or (channels, length)."""
        return Geometry.from_dict(self.network["geometry"]).input_shape

    @property
    def input_name(self) -> str:
        """Name of the input: "images" or "series"."""
        return "images" if len(self.input_shape) == 3 else "series"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON; the entry "classes" or "task" is that of ``Task.record``."""
        data = asdict(self)
        data["preprocessing"] = self.preprocessing and self.preprocessing.to_dict()
        del data["task"]
        record = self.task.record()
        version = 1 if "classes" in record and self.preprocessing is not None else FORMAT_VERSION
        return {"format_version": version, **data, **record}

    def to_json(self) -> str:
        """Return ``to_dict`` as one line."""
        return to_json(self.to_dict())

    @classmethod
    def from_json(cls, text: str | None, path: str | Path) -> Description:
        """Read the text of ``to_json``.

        Raises:
            DataError: Its task is unknown.
            ExportError: It is missing, unreadable, or of a newer library.
        """
        if not text:
            raise ExportError(
                f"{path} has no metadata: it is not an export of nasformer; create one with 'nasformer export'",
                path,
            )
        try:
            data: dict[str, Any] = parse_json(text)
            _check_version(int(data.pop("format_version")), path)
            steps, key = data.pop("preprocessing"), "task" if "task" in data else "classes"
            task = task_of({key: data.pop(key)})
            found = cls(**data, preprocessing=steps and Preprocessing.from_dict(steps), task=task)
            _check_values(found)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ExportError(f"the description in {path} is damaged ({error}); export it again", path) from error
        return found


def _check_values(found: Description) -> None:
    """Raise ValueError or TypeError for values that an export never has."""
    for kind, name, value in (
        (str, "name", found.name),
        (Mapping, "network", found.network),
        (Mapping, "provenance", found.provenance),
        (Mapping, "data", found.provenance.get("data", {})),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"{name} is {shown(value)}")
    if found.format not in format_names() or found.dtype not in DTYPES:
        raise ValueError(f"format is {shown(found.format)}, dtype {shown(found.dtype)}")
    channels, size = found.input_shape[0], found.input_shape[-1]
    if (steps := found.preprocessing) is None:
        return
    if steps.interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation is {shown(steps.interpolation)}")
    if steps.crop_mode not in CROP_MODES:
        raise ValueError(f"crop_mode is {shown(steps.crop_mode)}")
    if not all(isinstance(number, int) for number in (steps.channels, steps.size, steps.resize)):
        raise TypeError(f"preprocessing is {shown(steps.to_dict())}")
    if (steps.channels, steps.size) != (channels, size) or not size <= steps.resize <= 16 * size:
        raise ValueError(f"images of {steps.channels} channels and {steps.size} of {steps.resize} pixels")
    finite = all(map(math.isfinite, (*steps.mean, *steps.std)))
    if not (len(steps.mean) == len(steps.std) == channels and finite and min(steps.std) > 0):
        raise ValueError(f"mean {shown(steps.mean)} and standard deviation {shown(steps.std)} of {channels} channels")


def _check_version(version: int, path: str | Path) -> None:
    if version > FORMAT_VERSION:
        raise ExportError(f"{path} has format version {version}, this library reads {FORMAT_VERSION}: upgrade it", path)
