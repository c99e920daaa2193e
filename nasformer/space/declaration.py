"""Space files: YAML or JSON, and AutoFormer's own YAML unchanged."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

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
        text = path.read_text(encoding="utf-8")
        data = parse(text, path.suffix)
    except OSError as error:
        raise SpaceError(f"cannot read the space {str(path)!r}: {error.strerror}", path) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise SpaceError(f"{str(path)!r} is not valid {path.suffix[1:].upper()}: {reason}", path) from error
    try:
        if isinstance(data, Mapping) and any(key in data for key in _OFFICIAL):
            return from_official(data, name=path.stem)
        if isinstance(data, Mapping):
            data = {"name": path.stem, **data}
        return SearchSpace.from_dict(data)
    except SpaceError as error:
        raise SpaceError(f"{path.name}: {error}", path) from error


class _Loader(yaml.SafeLoader):
    """Safe YAML loader that rejects duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping with unique keys."""
        seen: list[str] = []
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            seen.append(key.value)
        return super().construct_mapping(node, deep)


def parse(text: str, suffix: str) -> Any:
    """Parse JSON (``.json``) or YAML; duplicate keys are errors.

    Raises:
        ValueError: Invalid JSON, or a duplicate key.
        yaml.YAMLError: The same for YAML.
    """
    if suffix == ".json":
        return json.loads(text, object_pairs_hook=_unique_keys)
    return yaml.load(text, _Loader)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for key, value in pairs:
        if key in data:
            raise ValueError(f"{key!r} is given twice")
        data[key] = value
    return data


def write_space(space: SearchSpace, path: str | Path) -> None:
    """Inverse of ``read_space``; the suffix determines the format."""
    path = Path(path)
    data = space.to_dict()
    if path.suffix == ".json":
        text = json.dumps(data, indent=2) + "\n"
    elif path.suffix in (".yaml", ".yml"):
        text = yaml.safe_dump(data, sort_keys=False, default_flow_style=None)
    else:
        raise SpaceError(f"a space is written as .yaml or .json, got {path.name!r}", path)
    path.write_text(text, encoding="utf-8")


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
