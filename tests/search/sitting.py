"""One sitting of a search, as a program that tests start and kill; it notes what it evaluates.

Arguments: storage, strategy, batch size, seconds for each evaluation, the file for notes.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nasformer.architecture import Architecture
from nasformer.search import Evaluation, SearchResult
from nasformer.searcher import Searcher

EVALUATIONS = 40
OPTIONS: dict[str, dict[str, Any]] = {
    "evolution": {"population": 8, "parents": 3, "mutants": 4, "crossovers": 3},
    "tpe": {"startup": 6},
    "nevergrad": {"optimizer": "TwoPointsDE"},
}


def worth(architecture: Architecture) -> float:
    """A rugged function of every dimension, without ties between neighbours."""
    heads = sum((3 + layer) * count for layer, count in enumerate(architecture.num_heads))
    ratios = sum((7 - 2 * layer) * ratio for layer, ratio in enumerate(architecture.mlp_ratio))
    return architecture.embed_dim / 8 + 2 * architecture.depth + heads % 17 + ratios / 10


class Noted:
    """Takes its time, fails now and then, and notes every evaluation that it has finished."""

    def __init__(self, seconds: float, notes: Path) -> None:
        self.seconds, self.notes = seconds, notes

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        for architecture in architectures:
            time.sleep(self.seconds)
            with self.notes.open("a") as notes:
                notes.write(f"{os.getpid()} {architecture}\n")
            value = None if sum(architecture.num_heads) % 5 == 0 else worth(architecture)
            yield Evaluation(architecture, value, metrics={"loss": 1.0})


def search(storage: str | None, strategy: str, batch_size: int, fitness: Any, **run: Any) -> SearchResult:
    """Run the search, from wherever the storage has got to."""
    searcher = Searcher("digits", strategy, fitness, seed=3, **OPTIONS.get(strategy, {}))
    known = {"evaluations": EVALUATIONS, "max_failures": EVALUATIONS, "progress": False}
    return searcher.run((40e3, 80e3), batch_size=batch_size, storage=storage, **{**known, **run})


if __name__ == "__main__":
    url, name, size, pause, notes = sys.argv[1:]
    search(url, name, int(size), Noted(float(pause), Path(notes)))
