"""What an exported file says of itself: input, classes, sizes, costs and origin, as plain values.

It travels inside the file, so that a file alone can be used, and stands beside it as ``nasformer.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nasformer.errors import ExportError
from nasformer.export.preprocessing import Preprocessing

FORMAT_VERSION = 1
KEY = "nasformer"
"""Under which the text lies in a file's own metadata."""

FILE = "nasformer.json"
FORMATS = {
    "safetensors": "model.safetensors",
    "timm": "model.safetensors",
    "onnx": "model.onnx",
    "torch-export": "model.pt2",
}
"""Name of each format's file."""

DTYPES = ("fp32", "bf16", "int8")


@dataclass(frozen=True)
class Description:
    """What an exported network takes and gives, and where it comes from.

    Args:
        name: What it is called.
        format: One of ``FORMATS``.
        dtype: What it computes in: one of ``DTYPES``. It takes and gives float32 all the same.
        preprocessing: From an image to its input.
        classes: Names of its outputs, in their order.
        network: Architecture, geometry, pooling, params and macs.
        provenance: Space, weights, data, recipe, versions, licence: as far as they are known.
    """

    name: str
    format: str
    dtype: str
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    network: Mapping[str, Any]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {"format_version": FORMAT_VERSION, **asdict(self)}

    def to_json(self) -> str:
        """Return ``to_dict`` as one line."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str | None, path: str | Path) -> Description:
        """Read what ``to_json`` wrote.

        Raises:
            ExportError: There is none, or one that cannot be read, or it is of a newer library.
        """
        if not text:
            raise ExportError(
                f"{path} does not say what it takes: it is no export of nasformer; make one with 'nasformer export'",
                path,
            )
        try:
            data: dict[str, Any] = json.loads(text)
            version = int(data.pop("format_version"))
            preprocessing = Preprocessing.from_dict(data.pop("preprocessing"))
            found = cls(**{**data, "classes": tuple(data["classes"])}, preprocessing=preprocessing)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ExportError(f"the description in {path} is damaged ({error}); export it again", path) from error
        if version > FORMAT_VERSION:
            raise ExportError(
                f"{path} has format version {version}, this library reads {FORMAT_VERSION}: upgrade it", path
            )
        return found
