"""StudyJournal: Optuna's journal file, made safe against processes that die at the wrong moment.

Optuna excludes writers by a symbolic link, which a killed process leaves behind: the next one waits for its grace
period. Here the journal is locked by the kernel as well (flock), which lets go when a process ends, so whoever
holds that lock knows that a link of ours is left over and removes it. The link itself is still made, since
plain Optuna goes by it. A last line that was cut off, by power loss or a full disk, is removed before anything is
appended: the next line would be joined to it, and the journal could not be read again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import Any

from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

_FIRST = b'{"op_code"'


class StudyJournal(JournalFileBackend):
    """A journal file.

    Args:
        path: Of the file; made where it is absent.
    """

    def __init__(self, path: str | Path) -> None:
        super().__init__(str(path))
        self.path = Path(path)
        self._link = f"{path}.lock"
        self._target = os.path.join(self.path.absolute().parent, ".", self.path.name)  # spelled as only we do
        self._file: FileIO | None = None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Exclude every other writer; what is appended meanwhile reaches the disk as one at the end."""
        with self.path.open("ab+", buffering=0) as file, self._exclusive(file):
            _drop_torn_line(file)
            self._file = file
            try:
                yield
            finally:
                self._file = None
                os.fsync(file.fileno())

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append lines; outside ``together`` they are on the disk when this returns."""
        if self._file is None:
            with self.together():
                self.append_logs(logs)
            return
        number = self._file.fileno()
        size = os.fstat(number).st_size
        rest = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        try:
            while rest:
                rest = rest[os.write(number, rest) :]
        except OSError:
            os.ftruncate(number, size)
            raise

    @contextmanager
    def _exclusive(self, file: FileIO) -> Iterator[None]:
        with suppress(OSError):  # a file system without flock: the link alone has to do
            fcntl.flock(file, fcntl.LOCK_EX)
            self._remove_left_over()
        self._make_link()
        try:
            yield
        finally:
            with suppress(FileNotFoundError):
                os.unlink(self._link)

    def _remove_left_over(self) -> None:
        with suppress(OSError):
            if os.readlink(self._link) == self._target:
                os.unlink(self._link)

    def _make_link(self) -> None:
        try:
            os.symlink(self._target, self._link)
        except FileExistsError:  # plain Optuna is writing, or died doing so: its own lock knows how long to wait
            JournalFileSymlinkLock(str(self.path)).acquire()


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
