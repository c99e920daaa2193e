"""Records: mappings that nasformer wrote as JSON beside its files, and reads again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nasformer._parse import parse_json, read_text
from nasformer.errors import NasformerError, shown


def read_record(path: str | Path) -> dict[str, Any]:
    """Return the mapping of a JSON file that nasformer wrote; a key that it lacks raises NasformerError too.

    Raises:
        NasformerError: It is missing, damaged, or no mapping.
    """
    try:
        data = parse_json(read_text(path), finite=False)
    except (OSError, ValueError) as error:
        raise NasformerError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}", path) from error
    if not isinstance(data, dict):
        raise NasformerError(f"{path} is damaged: it holds {shown(data)}, not a mapping", path)
    return _Record(path, data)


class _Record(dict[str, Any]):
    def __init__(self, path: str | Path, data: dict[str, Any]) -> None:
        super().__init__(data)
        self._path = path

    def __missing__(self, key: str) -> Any:
        raise NasformerError(f"{self._path} is damaged: it lacks {key!r}", self._path)
