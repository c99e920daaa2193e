"""JournalLock: the lock of Optuna's journal file, made safe against processes that die and folders that move.

Optuna excludes writers by a symbolic link, which a killed process leaves behind. Here the journal is locked by the
kernel as well (flock), which lets go when a process ends: whoever holds that lock removes a left-over link of ours, or
one that leads nowhere. The link itself is still made, since plain Optuna goes by it. A last line cut off by power loss
or a full disk is removed before anything is appended.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from contextlib import suppress
from io import FileIO
from pathlib import Path

from optuna.storages.journal import JournalFileSymlinkLock

from nasformer.errors import StudyError

_FIRST = b'{"op_code"'
_PATIENCE_S, _ANNOUNCE_AFTER_S = 600.0, 10.0

_LOGGER = logging.getLogger(__name__)


class JournalLock(JournalFileSymlinkLock):
    """The lock of one journal.

    Args:
        path: The journal.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._journal, self._link = path, Path(f"{path}.lock")
        self._target = os.path.join(".", ".", path.name)  # spelled as only we do, and valid wherever the folder goes
        self._file: FileIO | None = None

    def acquire(self) -> bool:
        """Exclude every other writer."""
        file = self._journal.open("ab+", buffering=0)
        try:
            self._lock(file)
            while os.fstat(file.fileno()).st_ino != self._journal.stat().st_ino:  # repaired in the meantime
                file.close()
                file = self._journal.open("ab+", buffering=0)
                self._lock(file)
            with suppress(OSError):
                if os.readlink(self._link) == self._target or not self._link.exists():
                    self._link.unlink()
            try:
                self._link.symlink_to(self._target)
            except FileExistsError:  # plain Optuna is writing, or died doing so: its lock knows how long to wait
                super().acquire()
            _drop_torn_line(file)
        except BaseException:
            file.close()
            raise
        self._file = file
        return True

    def release(self) -> None:
        """Let others write."""
        with suppress(FileNotFoundError):
            self._link.unlink()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _lock(self, file: FileIO) -> None:
        began, told = time.monotonic(), False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waited = time.monotonic() - began
                if waited > (_PATIENCE_S if told else _ANNOUNCE_AFTER_S):
                    words = f"{self._journal}: {holder(self._journal) or 'another process'} has locked it"
                    if told:
                        raise StudyError(f"storage {words}, for {waited / 60:.0f} minutes", self._journal) from None
                    _LOGGER.warning("waiting for %s; Ctrl-C stops", words)
                    told = True
                time.sleep(0.01)
            except OSError:  # a file system without flock: the link alone has to do
                return
            else:
                return


def _drop_torn_line(file: FileIO) -> None:
    """Cut off a last line without an end; a file that is no journal is left as it is."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        return
    file.seek(size - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    if not _FIRST.startswith(file.read(len(_FIRST))):
        return
    file.seek(0)
    file.truncate(file.read().rfind(b"\n") + 1)


def holder(*paths: Path) -> str:
    """Return which process has locked one of some files; empty: the system does not tell, or none has."""
    with suppress(OSError):
        known = [path.stat() for path in paths if path.exists()]
        files = {f"{os.major(each.st_dev):02x}:{os.minor(each.st_dev):02x}:{each.st_ino}" for each in known}
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            *_, process, file, _, _ = line.split()
            if (
                " WRITE " in line
                and "->" not in line
                and file in files
                and process not in ("0", "-1", str(os.getpid()))
            ):
                return f"process {process}"
    return ""
