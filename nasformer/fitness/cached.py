"""CachedFitness: evaluations on disk, so that several searches on one task evaluate an architecture once.

An evaluation that is found keeps the seconds that it took when it was made, so that what a search cost does not
depend on who came first.
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

_PATIENCE = 60.0
_TABLE = "CREATE TABLE IF NOT EXISTS evaluations (architecture TEXT PRIMARY KEY, evaluation TEXT NOT NULL)"
_IDENTITY = "CREATE TABLE IF NOT EXISTS fitness (description TEXT NOT NULL)"


class CachedFitness(WrapperFitness):
    """A fitness whose evaluations are kept in a SQLite file; failed ones are not.

    Where the file fails later on, as on a full disk, evaluations are made and told all the same.

    Args:
        fitness: What judges; each value depends on the architecture alone.
        path: The file; processes may share it.

    Raises:
        FitnessError: The fitness judges architectures jointly, or the file cannot be used or is of another fitness.
    """

    def __init__(self, fitness: Fitness, path: str | Path) -> None:
        if getattr(fitness, "joint", False):
            raise FitnessError("a fitness that races judges architectures jointly and cannot be kept", fitness)
        super().__init__(fitness)
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._own(json.dumps(self.describe(), sort_keys=True, default=str))
        except (OSError, sqlite3.Error) as error:
            raise FitnessError(f"cannot keep evaluations in {str(path)!r}: {error}", path) from error

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Yield what is known, then what has to be evaluated."""
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
        """Make the file this fitness's, or check that it is.

        Raises:
            FitnessError: It is another's.
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
                f"{str(self.path)!r} keeps evaluations of {kept[0]}, not of {description}; use another file", self.path
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
