"""Chapter: what the page of a diagnosis says of one piece, and the words that all of them share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nasformer.architecture import Architecture
from nasformer.report.notation import amount, duration
from nasformer.report.tables import Table

if TYPE_CHECKING:
    from nasformer.report.figures import Picture

JsonObject = Mapping[str, Any]
Pieces = Mapping[str, JsonObject]
Series = Mapping[str, int]
POINTS = "percentage points"
_CALLED = {"finetuned": "fine-tuned"}


@dataclass(frozen=True)
class Chapter:
    """What the page says of a piece.

    Args:
        name: Its id in the page.
        title: Its heading.
        words: What it found, in sentences.
        tables: Its tables.
        pictures: Its figures.
    """

    name: str
    title: str
    words: Sequence[str]
    tables: Sequence[Table]
    pictures: Sequence[Picture] = field(default=())


def called(name: str) -> str:
    """Return what a way to judge is called."""
    return _CALLED.get(name, name)


def between(row: JsonObject) -> str:
    """Return what a difference is called."""
    return f"{called(row['of'])} − {called(row['minus'])}"


def sentence(text: str) -> str:
    """Return a text as it begins a sentence, its other letters as they are."""
    return f"{text[:1].upper()}{text[1:]}"


def drawn(*pictures: Picture | None) -> list[Picture]:
    """Return the figures that there are."""
    return [picture for picture in pictures if picture is not None]


def note(row: JsonObject) -> str:
    """Return what a point says of its architecture."""
    architecture = str(Architecture.from_dict(dict(row["architecture"])))
    return f"{architecture}, {amount(row['params'])} parameters" if "params" in row else architecture


def time_taken(piece: JsonObject) -> list[str]:
    """Return how long a piece's trainings and searches take, where it is known."""
    if "seconds" not in piece:
        return []
    return [f"Its trainings and searches take {duration(piece['seconds'])} in one process, one after the other."]
