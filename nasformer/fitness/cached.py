"""CachedFitness: a persistent cache, so that several searches of one task evaluate an architecture once.

A cache hit reports its original evaluation time, so the cost of a search does not depend on which search came first.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.search import Evaluation, Fitness
from nasformer.search.evaluation import WrapperFitness

_TIMEOUT_S = 60.0
_TABLE = "CREATE TABLE IF NOT EXISTS evaluations (architecture TEXT PRIMARY KEY, evaluation TEXT NOT NULL)"
_IDENTITY = "CREATE TABLE IF NOT EXISTS fitness (description TEXT NOT NULL)"


class CachedFitness(WrapperFitness):
    """A fitness that caches successful evaluations in a SQLite file.

    If the file fails later, as on a full disk, evaluation continues without cache.

    Args:
        fitness: The fitness; each value must depend on the architecture alone.
        path: The file; processes may share it.

    Raises:
        FitnessError: The fitness is joint, or the file is unusable or belongs to another fitness.
    """

    def __init__(self, fitness: Fitness, path: str | Path) -> None:
        if getattr(fitness, "joint", False):
            raise FitnessError("a racing fitness evaluates architectures jointly and cannot be cached", fitness)
        super().__init__(fitness)
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(self.path, timeout=_TIMEOUT_S, isolation_level=None, check_same_thread=False)
            with suppress(sqlite3.OperationalError):  # locked: another opener switches the mode, for all
                self._file.execute("PRAGMA journal_mode=WAL")
            self._own(json.dumps(self.describe(), sort_keys=True, default=str))
        except (OSError, sqlite3.Error) as error:
            raise FitnessError(f"cannot cache evaluations in {str(path)!r}: {error}", path) from error

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Yield cached evaluations, then new ones."""
        unknown = []
        for architecture in architectures:
            known = self._find(architecture)
            if known is None:
                unknown.append(architecture)
            else:
                yield known
        for evaluation in self.fitness.evaluate(unknown) if unknown else ():
            if evaluation.value is not None:
                self._keep(evaluation)
            yield evaluation

    def _own(self, description: str) -> None:
        """Record the fitness in a new file, or check that it matches.

        Raises:
            FitnessError: The file belongs to another fitness.
        """
        with self._file:
            self._file.execute("BEGIN IMMEDIATE")
            self._file.execute(_TABLE)
            self._file.execute(_IDENTITY)
            kept = self._file.execute("SELECT description FROM fitness").fetchone()
            if kept is None:
                self._file.execute("INSERT INTO fitness VALUES (?)", (description,))
        if kept is not None and kept[0] != description:
            raise FitnessError(
                f"{str(self.path)!r} caches evaluations of {kept[0]}, not of {description}; use another file", self.path
            )

    def _find(self, architecture: Architecture) -> Evaluation | None:
        query, row = "SELECT evaluation FROM evaluations WHERE architecture = ?", None
        with suppress(sqlite3.Error):
            row = self._file.execute(query, (_key(architecture),)).fetchone()
        return None if row is None else Evaluation(architecture, **json.loads(row[0]))

    def _keep(self, evaluation: Evaluation) -> None:
        found = {"value": evaluation.value, "seconds": evaluation.seconds, "metrics": dict(evaluation.metrics)}
        row = _key(evaluation.architecture), json.dumps(found)
        with suppress(sqlite3.Error):
            self._file.execute("INSERT OR IGNORE INTO evaluations VALUES (?, ?)", row)


def _key(architecture: Architecture) -> str:
    return json.dumps(architecture.to_dict())
