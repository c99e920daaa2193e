"""The leader's lock: one process at a time runs a study. The lock ends with its process, however that ends.

Beside a journal or a SQLite file it is a file locked by the kernel (flock); in PostgreSQL an advisory lock of the
session. Both say who holds it.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, Any, Protocol

from nasformer._io import text_digest
from nasformer.errors import LeaderError

_LOGGER = logging.getLogger(__name__)


class LeaderLock(Protocol):
    """The right to run one study."""

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            LeaderError: Another process holds it; the message names it.
        """
        ...

    def check(self) -> None:
        """Ensure that the lock is still held, before a write.

        Raises:
            LeaderError: It was lost to another process.
        """
        ...

    def release(self) -> None:
        """Give it back."""
        ...


class FileLock:
    """A locked file, removed when released; one left by a killed process is free.

    Args:
        path: The file.
        study: The study's name, for messages.
    """

    def __init__(self, path: Path, study: str) -> None:
        self.path, self.study = path, study
        self._file: IO[str] | None = None

    @classmethod
    def beside(cls, storage: Path, study: str) -> FileLock:
        """Return the lock of a study in a storage file."""
        return cls(storage.with_name(f"{storage.name}.{text_digest(study, 8)}.leader"), study)

    def acquire(self) -> None:
        """Take the lock, or raise LeaderError."""
        while self._file is None:
            file = self.path.open("a+")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise _led_by(self.study, self._holder(file)) from None
            except OSError as error:
                _LOGGER.warning("%s cannot be locked (%s): run this study once at a time", self.path, error.strerror)
            with suppress(FileNotFoundError):  # its last holder removed it meanwhile
                if os.path.samestat(os.fstat(file.fileno()), self.path.stat()):
                    self._file = file
                    break
            file.close()
        self._file.truncate(0)
        json.dump({"host": platform.node(), "pid": os.getpid(), "since": time.strftime("%F %T")}, self._file)
        self._file.flush()

    def check(self) -> None:
        """Do nothing: the kernel takes it from nobody."""

    def release(self) -> None:
        """Remove and unlock the file."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def _holder(self, file: IO[str]) -> str:
        with file:
            file.seek(0)
            try:
                found = json.load(file)
                return f"process {found['pid']} on {found['host']} since {found['since']}"
            except (ValueError, LookupError, TypeError):
                return "another process"


class AdvisoryLock:
    """PostgreSQL's advisory lock, held by a session of its own.

    Args:
        engine: SQLAlchemy's engine of the database; called, since it opens late.
        study: The study's name.
    """

    _HOLDER = """
        SELECT application_name, backend_start, pid FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32 | objid::bigint) = :key
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""

    def __init__(self, engine: Callable[[], Any], study: str) -> None:
        self._engine, self.study = engine, study
        self._key = int(text_digest(f"nasformer {study}"), 16) >> 1  # a positive bigint
        self._name = f"process {os.getpid()} on {platform.node()[:30]} ({token_hex(4)})"  # names no other lock
        self._session: Any = None

    def acquire(self) -> None:
        """Take the lock, or raise LeaderError; a lost session of this process is ended."""
        self._session = self._engine().connect().execution_options(isolation_level="AUTOCOMMIT")
        self._ask("SELECT set_config('application_name', :name, false)", name=self._name)
        for _ in range(2):
            if self._ask("SELECT pg_try_advisory_lock(:key)", key=self._key).scalar():
                return
            holder = self._ask(self._HOLDER, key=self._key).first()
            if holder is None:
                continue
            if holder.application_name != self._name:
                break
            self._ask("SELECT pg_terminate_backend(:pid)", pid=holder.pid)
            time.sleep(0.1)
        self.release()
        since = f" since {holder.backend_start:%F %T}" if holder is not None and holder.backend_start else ""
        name = holder.application_name.partition(" (")[0] if holder is not None else ""
        session = f" (PostgreSQL's session {holder.pid})" if holder is not None else ""
        raise _led_by(self.study, f"{name or 'another process'}{since}{session}")

    def check(self) -> None:
        """Take the lock again if its session was lost, as by a restart of the server."""
        from sqlalchemy.exc import DBAPIError

        with suppress(DBAPIError):
            if self._session is not None:
                self._ask("SELECT 1")
                return
        self.release()
        self.acquire()

    def release(self) -> None:
        """End the session."""
        if self._session is not None:
            self._session.invalidate()
            self._session.close()
            self._session = None

    def _ask(self, query: str, **values: object) -> Any:
        from sqlalchemy import text

        return self._session.execute(text(query), values)


def _led_by(study: str, holder: str) -> LeaderError:
    return LeaderError(
        f"study {study!r} is led by {holder}; to speed it up, restart it with more --workers, or add machines to its "
        "Ray cluster; to take over when it ends, run this again then, or now with --wait",
        study,
    )
