"""Space files: YAML or JSON, and AutoFormer's own YAML unchanged."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasformer._io import to_json, write_file
from nasformer._parse import parse_document, read_text, to_yaml
from nasformer.errors import SpaceError, did_you_mean
from nasformer.space.searchspace import SearchSpace

_OFFICIAL = ("SUPERNET", "SEARCH_SPACE")


def read_space(path: str | Path) -> SearchSpace:
    """Read a space from a ``.yaml``, ``.yml`` or ``.json`` file, ours or AutoFormer's.

    An official AutoFormer file lists the choices and the supernet's sizes; the rest is fixed as in its code
    (224 pixels, patch size 16, 1000 classes, mean pooling, head_dim 64, max_distance 14).

    Raises:
        SpaceError: The file is missing, unreadable or not a valid space.
    """
    path = Path(path)
    try:
        data = parse_document(read_text(path), path.suffix)
    except OSError as error:
        raise SpaceError(f"cannot read the space {str(path)!r}: {error.strerror}", path) from error
    except ValueError as error:
        raise SpaceError(f"{str(path)!r} is not valid {path.suffix[1:].upper()}: {error}", path) from error
    try:
        if isinstance(data, Mapping) and any(key in data for key in _OFFICIAL):
            return from_official(data, name=path.stem)
        if isinstance(data, Mapping):
            data = {"name": path.stem, **data}
        return SearchSpace.from_dict(data)
    except SpaceError as error:
        raise SpaceError(f"{path.name}: {error}", path) from error


def write_space(space: SearchSpace, path: str | Path) -> None:
    """Inverse of ``read_space``; the suffix determines the format."""
    path = Path(path)
    data = space.to_dict()
    if path.suffix == ".json":
        text = to_json(data, indent=2) + "\n"
    elif path.suffix in (".yaml", ".yml"):
        text = to_yaml(data, default_flow_style=None)
    else:
        raise SpaceError(f"a space is written as .yaml or .json, got {path.name!r}", path)
    try:
        write_file(path, text)
    except OSError as error:
        raise SpaceError(f"cannot write the space {str(path)!r}: {error.strerror}", path) from error


def from_official(data: Mapping[str, Any], name: str) -> SearchSpace:
    """Convert a parsed official AutoFormer file to a space.

    Raises:
        SpaceError: A section or key is missing.
    """
    for section in _OFFICIAL:
        if not isinstance(data.get(section) or {}, Mapping):
            raise SpaceError(f"{section} of an AutoFormer file is a mapping, got {data[section]!r}", data)
        for key in ("EMBED_DIM", "DEPTH", "NUM_HEADS", "MLP_RATIO"):
            if key not in (data.get(section) or {}):
                raise SpaceError(f"an AutoFormer file needs {section}.{key}; {_hint(data, section)}", data)
    top, searched = data["SUPERNET"], data["SEARCH_SPACE"]
    return SearchSpace(
        name,
        embed_dim={"choice": searched["EMBED_DIM"]},  # type: ignore[arg-type]
        depth={"choice": searched["DEPTH"]},  # type: ignore[arg-type]
        num_heads={"per_layer": searched["NUM_HEADS"]},  # type: ignore[arg-type]
        mlp_ratio={"per_layer": searched["MLP_RATIO"]},  # type: ignore[arg-type]
        supernet={key: top[key.upper()] for key in ("embed_dim", "depth", "num_heads", "mlp_ratio")},
    )


def _hint(data: Mapping[str, Any], section: str) -> str:
    return (
        did_you_mean(section, map(str, data))
        if section not in data
        else f"it has {', '.join(map(str, data[section] or {}))}"
    )
