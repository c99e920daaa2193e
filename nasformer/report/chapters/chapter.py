"""Chapter of a diagnosis report, with shared wording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nasformer.architecture import Architecture
from nasformer.report.notation import amount, duration, points, sentence
from nasformer.report.tables import Table
from nasformer.report.tables.diagnosis import written
from nasformer.tasks import Metric

if TYPE_CHECKING:
    from nasformer.report.figures import Picture

JsonObject = Mapping[str, Any]
Pieces = Mapping[str, JsonObject]
Series = Mapping[str, int]
_CALLED = {"finetuned": "fine-tuned"}


@dataclass(frozen=True)
class Chapter:
    """The chapter of a piece.

    Args:
        name: Id in the page.
        title: Heading.
        words: Findings, a sentence each.
        tables: Tables.
        pictures: Figures.
    """

    name: str
    title: str
    words: Sequence[str]
    tables: Sequence[Table]
    pictures: Sequence[Picture] = field(default=())


def called(name: str) -> str:
    """Return the display name of an evaluation method."""
    return _CALLED.get(name, name)


def between(row: JsonObject) -> str:
    """Return the display name of a difference."""
    return f"{called(row['of'])} − {called(row['minus'])}"


def finding(row: JsonObject, metric: Metric) -> str:
    """State a difference of a metric, with its interval."""
    return f"{sentence(between(row))}: {written(row['mean'], metric, sign=True)}{points(metric)}"


def drawn(*pictures: Picture | None) -> list[Picture]:
    """Return the figures that are not None."""
    return [picture for picture in pictures if picture is not None]


def note(row: JsonObject) -> str:
    """Return the tooltip of an architecture's point."""
    architecture = str(Architecture.from_dict(dict(row["architecture"])))
    return f"{architecture}, {amount(row['params'])} parameters" if "params" in row else architecture


def time_taken(piece: JsonObject) -> list[str]:
    """Return the sequential time of a piece's trainings and searches, if known."""
    if "seconds" not in piece:
        return []
    return [f"Its trainings and searches take {duration(piece['seconds'])} when run sequentially in one process."]
