"""Documents of users as plain data: YAML 1.2 (core schema) and JSON, within limits of size, depth and range.

In YAML 1.2 only ``true`` and ``false`` are booleans: ``off`` and ``no`` are text, as are ``1:30`` and dates. Tags are
refused; aliases and merge keys (``<<``) are read within a limit. Every number that is read fits a float.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import yaml

_MAX_BYTES = 2**28
_MAX_YAML = 2**18  # characters; PyYAML reads some 100,000 a second
_MAX_VALUES = 100_000
_MAX_DEPTH = 64
_MAX_DIGITS = 256

_TAG = "tag:yaml.org,2002:"
_SCHEMA = (
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    ("bool", r"true|True|TRUE|false|False|FALSE", tuple("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", tuple("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        tuple("-+.0123456789"),
    ),
)
"""Tag, pattern and first characters of plain scalars (YAML 1.2, section 10.3.2)."""


def read_text(path: str | Path) -> str:
    """Return the text of a UTF-8 file, without byte-order mark.

    Raises:
        OSError: It is missing or unreadable.
        ValueError: It is too large, or not UTF-8.
    """
    with Path(path).open("rb") as file:
        content = file.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"the file has more than {_MAX_BYTES >> 20} MiB")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8; save it as UTF-8") from None


def check_download(path: str | Path) -> None:
    """Check that a binary file is readable, and not what a failed download leaves.

    Raises:
        OSError: It is missing or unreadable.
        ValueError: It is a Git LFS pointer, or an HTML page.
    """
    with Path(path).open("rb") as file:
        start = file.read(256).lstrip().lower()
    if start.startswith(b"version https://git-lfs"):
        raise ValueError("it is a Git LFS pointer, not the file itself; fetch that with 'git lfs pull'")
    if start.startswith((b"<!doctype html", b"<html")):
        raise ValueError("it is an HTML page, not the file itself; download that again")


def parse_document(text: str, suffix: str) -> Any:
    """Parse JSON (``.json``) or YAML.

    Raises:
        ValueError: It is invalid, or beyond a limit.
    """
    return parse_json(text) if suffix == ".json" else parse_yaml(text)


def parse_json(text: str, *, finite: bool = True) -> Any:
    """Parse JSON with distinct keys.

    Args:
        text: The document.
        finite: Whether ``NaN`` and ``Infinity``, which are not JSON, are refused.

    Raises:
        ValueError: It is invalid, or beyond a limit.
    """
    constant = _no_constant if finite else float
    try:
        data = json.loads(
            text, object_pairs_hook=_mapping, parse_int=_integer, parse_float=_real, parse_constant=constant
        )
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    level = [data]
    for _ in range(_MAX_DEPTH):
        nested = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, (dict, list)))
        level = [child for children in nested for child in children]
        if not level:
            return data
    raise ValueError(_TOO_DEEP)


def parse_yaml(text: str) -> Any:
    """Parse one YAML document with distinct keys.

    Raises:
        ValueError: It is invalid, or beyond a limit.

    >>> parse_yaml("{amp: off, epochs: 30, learning_rate: 1e-3, since: 2024-01-31}")
    {'amp': 'off', 'epochs': 30, 'learning_rate': 0.001, 'since': '2024-01-31'}
    """
    if len(text) > _MAX_YAML:
        raise ValueError(f"it has more than {_MAX_YAML:,} characters; write it as JSON")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return None if node is None else loader.value(node)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).replace('"<unicode string>", ', "").split())) from None


def to_yaml(value: Any, **options: Any) -> str:
    """Return plain data as YAML that ``parse_yaml`` reads; the options are PyYAML's."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, **options)
    return text


class _Loader(yaml.SafeLoader):
    """Loader of plain data that resolves the core schema only."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}  # type: ignore[misc]

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._left = _MAX_VALUES

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node; refuse tags and deep nesting."""
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None):
            tag = event.tag.replace(_TAG, "!!")
            raise ValueError(f"tags are not read, got {tag[:60]!r} in line {event.start_mark.line + 1}; leave it out")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ValueError(_TOO_DEEP)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def value(self, node: yaml.Node, depth: int = 1) -> Any:
        """Return the plain value of a node."""
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"it has more than {_MAX_VALUES:,} values, each use of an alias counted")
        if depth > _MAX_DEPTH:  # an alias within its own anchor
            raise ValueError(_TOO_DEEP)
        if isinstance(node, yaml.ScalarNode):
            return _SCALARS.get(node.tag.removeprefix(_TAG), str)(node.value)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(each, depth + 1) for each in node.value]
        return _merged(
            (self.value(key, depth + 1), self.value(value, depth + 1), f" in line {key.start_mark.line + 1}")
            for key, value in node.value
        )


class _Dumper(yaml.SafeDumper):
    """Dumper that quotes text which either version of YAML would read as something else."""


for _name, _pattern, _first in _SCHEMA:
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})$"), _first)

_TOO_DEEP = f"it is nested more than {_MAX_DEPTH} deep"


def _integer(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"the number {text[:12]}… has {len(text):,} digits; write {_MAX_DIGITS} at most")
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _real(text: str) -> float:
    number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if math.isinf(number) and "inf" not in text.lower():
        raise ValueError(f"the number {text[:24]} is beyond the range of numbers")
    return number


def _no_constant(name: str) -> float:
    raise ValueError(f"numbers are finite, got {float(name)}")


_SCALARS = {"null": lambda _: None, "bool": lambda text: text.lower() == "true", "int": _integer, "float": _real}


def _merged(entries: Iterable[tuple[Any, Any, str]]) -> dict[Any, Any]:
    """Return a mapping of keys, values and places; ``<<`` adds other mappings, of which its own keys override."""
    own: dict[Any, Any] = {}
    merged: dict[Any, Any] = {}
    for key, value, where in entries:
        if isinstance(key, (list, dict)):
            raise ValueError(f"a key is text or a number, got {str(key)[:60]}{where}")
        if key in own:
            raise ValueError(f"{key!r} is given twice{where}")
        if key != "<<":
            own[key] = value
            continue
        for other in value if isinstance(value, list) else [value]:
            if not isinstance(other, dict):
                raise ValueError(f"'<<' takes mappings, got {str(other)[:60]!r}{where}")
            merged = {**other, **merged}
    return {**merged, **own}


def _mapping(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    data = dict(pairs)
    if len(data) < len(pairs):
        (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
        raise ValueError(f"{key!r} is given twice")
    return data
