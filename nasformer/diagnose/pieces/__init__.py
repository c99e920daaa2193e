"""Pieces: the measurements of a diagnosis, each a function from a bench to plain values.

Values are of the task's default objective, negated unless higher is better, on the test split unless named search;
``seconds`` are the sequential time of a piece's trainings and searches, whichever piece ran them first.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nasformer.diagnose.pieces.chosen import curse, images
from nasformer.diagnose.pieces.inherited import fidelity, gap
from nasformer.diagnose.pieces.piece import Doing, Measure, Piece
from nasformer.diagnose.pieces.searched import strategies, winner
from nasformer.diagnose.pieces.shared import ranked, sharing

__all__ = ["MEASURES", "Doing", "Measure", "Piece", "together"]

_SEARCH = ("search_images", "evaluations")

MEASURES = {
    "images": Measure(images, ("pool", "seed")),
    "curse": Measure(curse, ("pool", "search_images", "seed")),
    "strategies": Measure(strategies, (*_SEARCH, "searches")),
    "fidelity": Measure(fidelity, ("recipe", "finetuning", "architectures", "finetuned", "seed")),
    "sharing": Measure(sharing, (*_SEARCH, "recipe", "sharing", "architectures", "seed")),
    "winner": Measure(winner, (*_SEARCH, "recipe", "final", "searches", "retrainings")),
}
"""Measurements by name, in execution order."""


def together(pieces: Mapping[str, Piece]) -> dict[str, Piece]:
    """Return the pieces with derived figures: gap, noise of retraining, rank correlation per weight sharing."""
    told = {name: pieces[name] for name in MEASURES if name in pieces}
    if "fidelity" in pieces:
        told["gap"] = gap(pieces["fidelity"])
        if "sharing" in pieces:
            told["sharing"] = ranked(pieces["sharing"], pieces["fidelity"])
        if "winner" in pieces:
            told["fidelity"] = {**pieces["fidelity"], "noise": _noise(pieces["winner"])}
    return told


def _noise(winner: Piece) -> Piece | None:
    """Return the standard deviation of retraining over seeds, pooled over the two architectures, and the epochs."""
    columns = [row["retrained"] for row in winner["rows"]]
    if min(map(len, columns)) < 2:
        return None
    pooled = np.sqrt(np.mean([np.var(column, ddof=1) for column in columns]))
    return {"deviation": float(pooled), "epochs": winner["epochs"]}
