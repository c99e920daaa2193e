"""Tables in documents, between marks, so that no figure is typed by hand."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from nasformer.errors import NasformerError

Cells = Sequence[Sequence[str]]


def markdown(header: Sequence[str], rows: Cells) -> str:
    """Return a table.

    >>> print(markdown(["a", "b"], [["1", "2"]]), end="")
    | a | b |
    |---|---|
    | 1 | 2 |
    """
    lines = [header, ["---"] * len(header), *rows]
    text = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([text[0], text[1].replace(" ", ""), *text[2:]]) + "\n"


def between(document: Path, name: str) -> str:
    """Return what stands between ``<!-- name -->`` and ``<!-- /name -->``.

    Raises:
        NasformerError: The document has not just one such place.
    """
    found = _pattern(name).findall(document.read_text(encoding="utf-8"))
    if len(found) != 1:
        raise NasformerError(f"{document} has {len(found)} places <!-- {name} --> to <!-- /{name} -->, not one", found)
    return str(found[0])


def put(document: Path, name: str, table: str) -> None:
    """Write a table between ``<!-- name -->`` and ``<!-- /name -->``; errors as ``between``."""
    between(document, name)
    text = document.read_text(encoding="utf-8")
    marked = f"<!-- {name} -->\n{table}<!-- /{name} -->"
    document.write_text(_pattern(name).sub(lambda _: marked, text), encoding="utf-8")


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", re.DOTALL)
