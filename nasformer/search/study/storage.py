"""Store: an Optuna storage opened by URL, with one-line errors and exclusive transactions.

Studies persist in a journal file (``PATH.log``), SQLite or PostgreSQL; without a URL they are in memory.
"""

from __future__ import annotations

import logging
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage, RDBStorage, _CachedStorage

from nasformer.errors import NasformerError, StudyError
from nasformer.search.study.journal import StudyJournal

Kept = TypeVar("Kept")

_DATABASES = ("sqlite:", "postgresql:", "postgresql+", "mysql:", "mysql+")
_PAUSES = (0.1, 0.3, 1.0, 2.0, 4.0)
"""Seconds between attempts to reconnect to a database."""


class Store:
    """A storage.

    Args:
        url: None: in memory; ``sqlite:///…`` or ``postgresql://…``: a database; else the path of a journal file.
        create: Whether to create a missing file.

    Attributes:
        optuna: Optuna's storage.
        name: The URL for display, without password.

    Raises:
        StudyError: It cannot be opened.
    """

    def __init__(self, url: str | Path | None, create: bool = True) -> None:
        self.url, self.name = url, shown(url)
        self.persistent = url is not None
        self._lock = threading.RLock()
        self._journal: StudyJournal | None = None
        self._database: RDBStorage | None = None
        with self._clear_errors():
            self.optuna = self._open(url, create)

    def _open(self, url: str | Path | None, create: bool) -> BaseStorage:
        if url is None:
            return InMemoryStorage()
        if str(url).startswith(_DATABASES):
            self._check_file(str(url), create)
            from nasformer.search.study.database import open_database  # SQLAlchemy imports slowly

            self._database = open_database(str(url))
            weakref.finalize(self, self._database.engine.dispose)  # closes its connections
            return _CachedStorage(self._database)
        if "://" in str(url):
            raise StudyError(
                f"storage {self.name!r}: a storage is PATH.log, sqlite:///PATH or postgresql://HOST/NAME", url
            )
        path = Path(url)
        if path.exists() and not path.is_file():
            raise StudyError(f"storage {self.name!r} is not a regular file; give a journal path such as study.log", url)
        if not (create or path.exists()):
            raise StudyError(f"storage {self.name!r} does not exist; create it with 'nasformer study create'", url)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._journal = StudyJournal(path)
        return JournalStorage(self._journal)

    def _check_file(self, url: str, create: bool) -> None:
        path = url.partition("sqlite:///")[2]
        if path and not create and not Path(path).exists():
            raise StudyError(f"storage {self.name!r} does not exist; create it with 'nasformer study create'", url)

    def read(self, body: Callable[[], Kept]) -> Kept:
        """Return the result of a read; lost connections are retried."""
        return self._persist(nullcontext, body)

    def change(self, study_id: int | None, body: Callable[[], Kept]) -> Kept:
        """Return the result of an exclusive transaction on a study.

        ``body`` is retried after a lost connection, so it must depend on what it reads in the transaction.
        """
        return self._persist(lambda: self._together(study_id), body)

    def _together(self, study_id: int | None) -> AbstractContextManager[None]:
        if self._journal is not None:
            return self._journal.together()
        if self._database is None:
            return nullcontext()
        from nasformer.search.study.database import together

        return together(self._database, study_id)

    def _is_transient(self, error: Exception) -> bool:
        if self._database is None:
            return False
        from nasformer.search.study.database import is_transient

        return is_transient(error)

    def _persist(self, context: Callable[[], AbstractContextManager[None]], body: Callable[[], Kept]) -> Kept:
        with self._lock, self._clear_errors():
            for pause in _PAUSES:
                try:
                    with context():
                        return body()
                except Exception as error:
                    if not self._is_transient(error):
                        raise
                    time.sleep(pause)
            with context():
                return body()

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except NasformerError:
            raise
        except Exception as error:
            raise StudyError(f"storage {self.name!r}: {_reason(error)}", self.url) from error


def _reason(error: BaseException) -> str:
    """Return the root cause, which Optuna's message omits."""
    if isinstance(error, ImportError) and "DB access module" in str(error):
        return "its driver is missing: pip install 'nasformer[postgresql]'"
    cause = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None) or error
    return f"{type(cause).__name__}: {' '.join(str(cause).split())[:200]}"


def shown(url: object) -> str:
    """Return a URL without its password.

    >>> shown("postgresql://me:secret@host/studies")
    'postgresql://me:***@host/studies'
    """
    return re.sub(r"(://[^:/@]*):[^/]*@", r"\1:***@", str(url))


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's log messages about new studies."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
