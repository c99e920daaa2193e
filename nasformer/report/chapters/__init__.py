"""Chapters of a diagnosis report, one per piece: text, figures and tables."""

from __future__ import annotations

from collections.abc import Callable

from nasformer.report.chapters.chapter import Chapter, Pieces, Series, between
from nasformer.report.chapters.chosen import curse, images
from nasformer.report.chapters.inherited import fidelity, gap
from nasformer.report.chapters.searched import strategies, winner
from nasformer.report.chapters.shared import sharing
from nasformer.report.tables.diagnosis import ranked_by
from nasformer.space import SearchSpace
from nasformer.tasks import Metric

__all__ = ["Chapter", "chapters"]

_NAMES = ("inherited", "fine-tuned", "retrained", "entangled", "classical", "search", "test")
_TELL: dict[str, Callable[[Pieces, SearchSpace, Series, Metric], Chapter]] = {
    "fidelity": fidelity,
    "gap": gap,
    "sharing": sharing,
    "strategies": strategies,
    "winner": winner,
    "images": images,
    "curse": curse,
}


def chapters(pieces: Pieces, space: SearchSpace, metric: Metric) -> list[Chapter]:
    """Return a chapter for every present piece; values are of ``metric``, higher is better."""
    series = _series(pieces)
    return [tell(pieces, space, series, metric) for name, tell in _TELL.items() if name in pieces]


def _series(pieces: Pieces) -> Series:
    """Return a number, and thus a colour, for every name in the figures, the same in all of them."""
    told = [row["strategy"] for row in pieces.get("strategies", {}).get("rows", ())]
    told += [row["name"] for piece in ("sharing", "winner") for row in pieces.get(piece, {}).get("rows", ())]
    told += ranked_by(pieces["images"]) if "images" in pieces else []
    told += [between(row) for row in pieces.get("gap", {}).get("differences", ())]
    return {name: number for number, name in enumerate(dict.fromkeys((*_NAMES, *told)))}
