"""Store: an Optuna storage, with one-line errors, a leader's lock for each study, and patience with databases.

Studies persist in a journal file (``PATH.log``), SQLite or PostgreSQL, or in a storage object of Optuna.
"""

from __future__ import annotations

import logging
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from secrets import token_hex
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.study import StudyDirection

from nasformer.errors import NasformerError, StudyError
from nasformer.search.study.journal import holder
from nasformer.search.study.journal_file import JournalFile
from nasformer.search.study.leader import AdvisoryLock, FileLock, LeaderLock

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

Kept = TypeVar("Kept")

_LOGGER = logging.getLogger(__name__)
_TOKEN = "nasformer:token"
_MISSING = "does not exist; create it with 'nasformer study create'"
_BEING_MADE = ("already exists", "duplicate key", "UNIQUE constraint")
_SQLITE_BUSY_S = 60
_PATIENCE_S, _ANNOUNCE_AFTER_S, _PAUSE_S = 600.0, 10.0, 0.5
_POSTGRESQL = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "options": "-c statement_timeout=60s -c lock_timeout=30s "
    "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3",
}


class Store:
    """A storage.

    Args:
        storage: Path of a journal file, ``sqlite:///PATH``, ``postgresql://HOST/NAME``, or a storage of Optuna.
        create: Whether to create a missing file.

    Attributes:
        name: The storage for display, without password.

    Raises:
        StudyError: It is none of these, or does not exist.
    """

    def __init__(self, storage: str | Path | BaseStorage, create: bool = True) -> None:
        self._given = storage
        self.name = shown(storage)
        self.path: Path | None = None
        self._url: URL | None = None
        with self._clear_errors():
            if isinstance(storage, RDBStorage):
                self._url = storage.engine.url
            elif not isinstance(storage, BaseStorage):
                self._locate(str(storage), create)
            if self._url is not None and self._url.get_backend_name() == "sqlite":
                self.path = _file_of(self._url)
        self._in_process = self._url is None or (self.path is None and self._url.get_backend_name() == "sqlite")

    def _locate(self, storage: str, create: bool) -> None:
        """Parse and check a URL or path."""
        if storage.startswith("sqlite:") or "://" in storage:
            self._url = _parsed(storage, self.name)
            path = _file_of(self._url) if self._url.get_backend_name() == "sqlite" else None
        else:
            path = self.path = Path(storage).resolve()
            if path.exists() and not path.is_file():
                raise StudyError(
                    f"storage {self.name!r} is not a regular file; give a journal path such as study.log", storage
                )
        if path is not None and not (create or path.exists()):
            raise StudyError(f"storage {self.name!r} {_MISSING}", storage)

    @property
    def journal(self) -> Path | None:
        """The journal file; None: it is a database or an object."""
        return self.path if self._url is None else None

    @cached_property
    def optuna(self) -> BaseStorage:
        """Optuna's storage, opened on first use."""
        if isinstance(self._given, BaseStorage):
            return self._given
        if self._url is not None:
            database = _open_database(self._url)
            weakref.finalize(self, database.engine.dispose)  # closes its connections
            return database
        assert self.path is not None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFile(self.path, self.name))

    def leader(self, study: str) -> LeaderLock:
        """Return the lock of the process that runs a study."""
        if self.path is not None:
            if self._url is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.parent.is_dir():
                raise StudyError(f"storage {self.name!r}: there is no folder {str(self.path.parent)!r}", self._given)
            return FileLock(self.path, study)
        if self._url is not None and self._url.get_backend_name() == "postgresql":
            return AdvisoryLock(lambda: self.optuna.engine, study)  # type: ignore[attr-defined]
        return FileLock(Path(tempfile.gettempdir()) / f"nasformer-{self.run(lambda: self._token(study))}", study)

    def _token(self, study: str) -> str:
        """Return what identifies a study in a storage object, which does not say where it is; made if absent."""
        study_id = self.study_id(study)
        if _TOKEN not in self.optuna.get_study_user_attrs(study_id):
            self.optuna.set_study_user_attr(study_id, _TOKEN, token_hex(8))
        return str(self.optuna.get_study_user_attrs(study_id)[_TOKEN])

    def study_id(self, name: str) -> int:
        """Return the number of a study, created if absent."""
        with quiet(), suppress(DuplicatedStudyError):
            return self.optuna.create_new_study([StudyDirection.MAXIMIZE], name)
        return self.optuna.get_study_id_from_name(name)

    def run(self, body: Callable[[], Kept]) -> Kept:
        """Return the result of reads or a write; a database that fails or is silent for a while is waited for.

        ``body`` is repeated after a lost connection, which may have committed it.

        Raises:
            StudyError: The storage failed; the message names it and the cause.
        """
        with self._clear_errors():
            return body() if self._in_process else self._patiently(body)

    def _is_open(self) -> bool:
        return "optuna" in vars(self)

    def _patiently(self, body: Callable[[], Kept]) -> Kept:
        """Run in a thread, since drivers wait in C, where Ctrl-C is not heard."""
        began, told, failure = time.monotonic(), False, "no answer yet"
        running = self._in_thread(body)
        while True:
            wait([running], _PAUSE_S)
            waited = time.monotonic() - began
            if running.done():
                error = running.exception()
                if not isinstance(error, Exception) or not (self._is_open() and is_transient(error)):
                    return running.result()
                failure = _reason(error)
            if waited > _PATIENCE_S:
                raise StudyError(
                    f"storage {self.name!r}: {failure}{self._holder()}, for {waited / 60:.0f} minutes", self._given
                )
            if waited > _ANNOUNCE_AFTER_S and not told:
                words = f"{failure}{self._holder()}; Ctrl-C stops, all finished trials are kept"
                _LOGGER.warning("waiting for %s: %s", self.name, words)
                told = True
            if running.done():
                time.sleep(_PAUSE_S)
                running = self._in_thread(body)

    def _holder(self) -> str:
        """Return who has locked the file, as far as the system tells."""
        files = [] if self.path is None else [self.path, Path(f"{self.path}-shm")]
        found = holder(*files)
        return f"; {found} has locked it" if found else ""

    def _in_thread(self, body: Callable[[], Kept]) -> Future[Kept]:
        future: Future[Kept] = Future()

        def run() -> None:
            try:
                found = body()
                if self._is_open():
                    self.optuna.remove_session()  # that of this thread
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(found)

        Thread(target=run, daemon=True).start()
        return future

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except NasformerError:
            raise
        except Exception as error:
            raise StudyError(f"storage {self.name!r}: {_reason(error)}", self._given) from error


def _parsed(text: str, name: str) -> URL:
    """Return the URL of a database that lasts."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    rule = f"storage {name!r}: a storage is PATH.log, sqlite:///PATH or postgresql://HOST/NAME"
    try:
        url = make_url(text)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError) as error:
        raise StudyError(rule, text) from error
    if backend not in ("sqlite", "postgresql"):
        raise StudyError(rule, text)
    if backend == "sqlite" and _file_of(url) is None:
        raise StudyError(
            f"storage {name!r} is in memory and does not last; give sqlite:///PATH, or no storage for a search in "
            "memory",
            text,
        )
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and not str(url.database).startswith("file:"):
        url = url.set(database=str(_file_of(url)))  # absolute: a fitness may change the folder
    return url


def _file_of(url: URL) -> Path | None:
    """Return the file of a SQLite URL; None if it is in memory."""
    database = url.database or ""
    if database in ("", ":memory:") or ":memory:" in database or url.query.get("mode") == "memory":
        return None
    return Path(database.removeprefix("file:").partition("?")[0]).resolve()


def _open_database(url: URL) -> RDBStorage:
    from optuna.exceptions import StorageInternalError
    from sqlalchemy import event
    from sqlalchemy.exc import DBAPIError, OperationalError

    sqlite = url.get_backend_name() == "sqlite"
    options = {"timeout": _SQLITE_BUSY_S} if sqlite else _POSTGRESQL
    given = {name: value for name, value in options.items() if name not in url.query}
    arguments = {"connect_args": given, "pool_pre_ping": not sqlite}
    for left in reversed(range(20)):
        try:
            database = RDBStorage(url.render_as_string(hide_password=False), engine_kwargs=arguments)
        except (DBAPIError, StorageInternalError) as error:
            if not left or not any(word in str(error.__cause__ or error) for word in _BEING_MADE):
                raise
            time.sleep(0.1)  # another process makes the tables at this moment
        else:
            break
    if sqlite:
        with suppress(OperationalError), database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")  # readers need not wait for a writer
        event.listen(database.engine, "handle_error", _fail_at_once)
    return database


def _fail_at_once(context: Any) -> None:
    """Raise what no repetition mends, such as a full disk; Optuna would repeat it."""
    from sqlalchemy.exc import OperationalError

    if isinstance(context.sqlalchemy_exception, OperationalError):
        raise StudyError(f"storage {shown(context.engine.url)!r}: {context.original_exception}", context.engine.url)


def is_transient(error: BaseException) -> bool:
    """Whether a database's error may pass: a lost connection, a server that restarts, a time-out."""
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, DBAPIError):
        cause = cause.__cause__
    return isinstance(cause, DBAPIError) and (
        isinstance(cause, (OperationalError, InterfaceError)) or cause.connection_invalidated
    )


def _reason(error: BaseException) -> str:
    """Return the root cause, which Optuna's message omits."""
    if isinstance(error, ImportError) and "DB access module" in str(error):
        return "its driver is missing: pip install 'nasformer[postgresql]'"
    cause = getattr(error, "orig", None) or getattr(error.__cause__, "orig", None) or error
    return f"{type(cause).__name__}: {' '.join(str(cause).split())[:200]}"


def shown(storage: object) -> str:
    """Return a storage for display: a URL without its password, the class of an object.

    >>> shown("postgresql://me:secret@host/studies")
    'postgresql://me:***@host/studies'
    """
    if isinstance(storage, BaseStorage):
        return shown(storage.engine.url) if isinstance(storage, RDBStorage) else type(storage).__name__
    text = str(storage)
    if "@" not in text or "://" not in text:
        return text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    with suppress(ArgumentError, ValueError):
        return make_url(text).render_as_string(hide_password=True)
    return text


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
