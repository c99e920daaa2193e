"""One sitting of a search, as a program that tests start and kill; it notes what it has evaluated.

python -m tests.search.sitting STORAGE STRATEGY BATCH_SIZE EVALUATIONS SECONDS_EACH NOTES
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nasformer.architecture import Architecture
from nasformer.registry import strategy_names
from nasformer.search import Evaluation, SearchResult, Trial
from nasformer.search.study import Study, delete_study, export_study, import_study
from nasformer.searcher import Searcher

STRATEGIES = strategy_names()
OPTIONS: dict[str, dict[str, Any]] = {
    "evolution": {"population": 8, "parents": 3, "mutants": 4, "crossovers": 3},
    "nsga2": {"population": 8},
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

    def __init__(self, seconds: float = 0.0, notes: Path = Path(os.devnull)) -> None:
        self.seconds, self.notes = seconds, notes

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        for architecture in architectures:
            time.sleep(self.seconds)
            with self.notes.open("a") as notes:
                notes.write(f"{architecture}\n")
            value = None if sum(architecture.num_heads) % 5 == 0 else worth(architecture)
            yield Evaluation(architecture, value, metrics={"loss": 1.0})

    def describe(self) -> dict[str, Any]:
        return {"kind": "noted"}


def search(storage: str | None, strategy: str, fitness: Any = None, **run: Any) -> SearchResult:
    """Run the search, from wherever the storage has got to."""
    searcher = Searcher("digits", strategy, fitness or Noted(), seed=3, **OPTIONS.get(strategy, {}))
    known = {"evaluations": 40, "batch_size": 5, "max_failures": 10**6, "progress": False}
    return searcher.run((40e3, 80e3), storage=storage, **{**known, **run})


def what(trials: Sequence[Trial]) -> list[tuple[Any, ...]]:
    """Return all of the trials but how long they took."""
    return [(t.number, t.batch, t.architecture, t.value, t.error, t.metrics, t.costs) for t in trials]


def exported(study: Study) -> list[dict[str, Any]]:
    """Return a study as data."""
    return list(export_study(study))


def replaced(study: Study, lines: list[dict[str, Any]]) -> None:
    """Put other data in a study's place."""
    study.close()
    delete_study(study.store, study.name)
    import_study(study.store, lines)


if __name__ == "__main__":
    url, name, size, total, pause, notes = sys.argv[1:]
    search(url, name, Noted(float(pause), Path(notes)), batch_size=int(size), evaluations=int(total), wait=True)
