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
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import IO, Any, ClassVar, Self
from weakref import WeakSet

from nasformer._io import text_digest
from nasformer.errors import LeaderError

_LOGGER = logging.getLogger(__name__)


class LeaderLock(ABC):
    """The right to run one study, as a context.

    Args:
        study: Study name.
    """

    def __init__(self, study: str) -> None:
        self.study = study

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    @abstractmethod
    def acquire(self) -> None:
        """Take the lock.

        Raises:
            LeaderError: Another process holds it; the message names it.
        """

    @abstractmethod
    def release(self) -> None:
        """Give it back, if held."""

    def renew(self) -> bool:
        """Return whether the lock was lost and taken again, as after a restart of the server.

        Raises:
            LeaderError: Another process holds it now.
        """
        return False

    def _led_by(self, holder: str) -> LeaderError:
        return LeaderError(
            f"study {self.study!r} is led by {holder}; for more speed restart it with more --workers or add machines "
            "to its Ray cluster; to take over when it ends, use 'nasformer study run --wait'",
            self.study,
        )


class FileLock(LeaderLock):
    """A locked file beside another, removed when released; one left by a killed process is free.

    Args:
        storage: The other file, existing or not.
        study: Study name.
    """

    _held: ClassVar[WeakSet[FileLock]] = WeakSet()

    def __init__(self, storage: Path, study: str) -> None:
        super().__init__(study)
        self._storage = storage
        self.path = storage.with_name(f"{storage.name}.{text_digest(study, 8)}.leader")
        self._file: IO[str] | None = None

    def acquire(self) -> None:
        """Take the lock, or raise LeaderError."""
        while self._file is None:
            file = open(self.path, "a+", opener=self._opener)  # noqa: SIM115 - open as long as it leads
            try:
                if self._lock(file):
                    self._file = file
                    file.truncate(0)
                    json.dump({"host": platform.node(), "pid": os.getpid(), "since": time.strftime("%F %T")}, file)
                    file.flush()
            except BaseException:
                self._file = None
                file.close()
                raise
        self._held.add(self)

    def _lock(self, file: IO[str]) -> bool:
        """Lock the open file; False if its last holder has removed it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._led_by(self._holder(file)) from None
        except OSError as error:
            _LOGGER.warning("%s cannot be locked (%s): run this study once at a time", self.path, error.strerror)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), self.path.stat()):
                return True
        file.close()
        return False

    @staticmethod
    def require_free(path: Path) -> None:
        """Raise LeaderError if a process holds a lock, given its file."""
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LeaderError(f"a process runs a study, as {path} says; stop it first", path) from None

    def release(self) -> None:
        """Remove and unlock the file."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            self.forget()

    def forget(self) -> None:
        """Close the file; a child of a fork holds the lock until it does."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _opener(self, path: str, flags: int) -> int:
        """Open with the permissions of the storage, so that whoever may write that may lead."""
        mode = self._storage.stat().st_mode & 0o666 if self._storage.exists() else 0o666
        number = os.open(path, flags | os.O_NOFOLLOW, mode)
        with suppress(PermissionError):  # another's
            os.fchmod(number, mode)
        return number

    def _holder(self, file: IO[str]) -> str:
        file.seek(0)
        try:
            found = json.load(file)
            return f"process {found['pid']} on {found['host']} since {found['since']}"
        except (ValueError, LookupError, TypeError):
            return "another process"


def _forget_in_child() -> None:
    for lock in list(FileLock._held):
        lock.forget()


os.register_at_fork(after_in_child=_forget_in_child)


class AdvisoryLock(LeaderLock):
    """PostgreSQL's advisory lock, held by a session of its own.

    Args:
        engine: Returns SQLAlchemy's engine of the database.
        study: Study name.
    """

    _HOLDER = """
        SELECT application_name, backend_start, pid FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'advisory' AND granted AND (classid::bigint << 32 | objid::bigint) = :key
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""

    def __init__(self, engine: Callable[[], Any], study: str) -> None:
        super().__init__(study)
        self._engine = engine
        self._key = int(text_digest(f"nasformer {study}"), 16) >> 1  # a positive bigint
        self._name = f"process {os.getpid()} on {platform.node()[:30]} ({token_hex(4)})"  # names no other lock
        self._session: Any = None

    def acquire(self) -> None:
        """Take the lock, or raise LeaderError; a lost session of this lock is ended."""
        self._session = self._engine().connect().execution_options(isolation_level="AUTOCOMMIT")
        self._ask("SELECT set_config('application_name', :name, false)", name=self._name)
        for _ in range(2):
            if self._ask("SELECT pg_try_advisory_lock(:key)", key=self._key).scalar():
                return
            holder = self._ask(self._HOLDER, key=self._key).first()
            if holder is not None and holder.application_name != self._name:
                break
            if holder is not None:
                self._ask("SELECT pg_terminate_backend(:pid)", pid=holder.pid)
            time.sleep(0.1)
        self.release()
        if holder is None:
            raise self._led_by("another process")
        name = holder.application_name.partition(" (")[0] or "another process"
        since = f" since {holder.backend_start:%F %T}" if holder.backend_start else ""
        raise self._led_by(f"{name}{since} (PostgreSQL's session {holder.pid})")

    def renew(self) -> bool:
        """Take the lock again if its session was lost."""
        from sqlalchemy.exc import DBAPIError

        with suppress(DBAPIError):
            if self._session is not None:
                self._ask("SELECT 1")
                return False
        self.release()
        self.acquire()
        return True

    def release(self) -> None:
        """End the session."""
        if self._session is not None:
            self._session.invalidate()
            self._session.close()
            self._session = None

    def _ask(self, query: str, **values: object) -> Any:
        from sqlalchemy import text

        return self._session.execute(text(query), values)
