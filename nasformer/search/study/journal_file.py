"""JournalFile: Optuna's journal file, in which each entry of ours has a checksum, which plain Optuna ignores.

An entry ends with ``"nasformer:sum":"BEFORE-OWN"``: ``OWN`` is the hash of the entry, ``BEFORE`` the ``OWN`` of our
last entry before it. So a flipped bit, a lost line and a doubled one are found, and named.
"""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Generator, Iterable, Iterator
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import IO, Any

from optuna.storages.journal import BaseJournalBackend
from optuna.trial import TrialState

from nasformer._io import atomic
from nasformer.errors import StudyError
from nasformer.search.study.journal import JournalLock
from nasformer.search.study.leader import FileLock

_SUM = re.compile(rb',"nasformer:sum":"([0-9a-f]{0,8})-([0-9a-f]{8})"}\n')


class JournalFile(BaseJournalBackend):
    """The entries of a journal file.

    Args:
        path: The file, made if missing.
        name: The storage for display.
    """

    def __init__(self, path: Path, name: str) -> None:
        self._path, self._name, self._lock = path, name, JournalLock(path)
        self._path.open("ab").close()  # made if missing; a look leaves its time of change
        self._known, self._inode = (0, 0, b""), 0  # entries read, their bytes, and the last checksum; their file

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        """Yield the entries from a number on; one that is being written is left out.

        Raises:
            StudyError: One is damaged; the message names its line.
        """
        if log_number_from < self._known[0]:
            self._known = (0, 0, b"")
        number, place, before = self._known
        with self._path.open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            if number and inode != self._inode:
                raise StudyError(f"storage {self._name!r} was repaired or replaced; start again", self._path)
            self._inode = inode
            file.seek(place)
            for line, log, last, damage in _entries(file, before):
                number += 1
                if damage:
                    raise StudyError(
                        f"storage {self._name!r}: line {number} is damaged: {damage}; 'nasformer study repair "
                        f"--storage {self._name}' keeps what is whole",
                        self._path,
                    )
                place += len(line)
                self._known = (number, place, last)
                if number > log_number_from:
                    yield log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append entries durably."""
        self._lock.acquire()
        try:
            for _ in self.read_logs(self._known[0]):  # the last checksum is of another process
                pass
            with self._path.open("ab") as file:
                file.write(b"".join(_chained((json.dumps(log, separators=(",", ":")) for log in logs), self._known[2])))
                file.flush()
                os.fsync(file.fileno())
        finally:
            self._lock.release()


def _entries(file: IO[bytes], before: bytes = b"") -> Iterator[tuple[bytes, dict[str, Any], bytes, str]]:
    """Yield each whole line, its entry, the last checksum so far, and what is wrong with the line.

    Args:
        file: The journal, at the start of a line.
        before: The last checksum before that line.
    """
    for line in file:
        if not line.endswith(b"\n"):
            return
        log, damage = _parsed(line)
        found = _SUM.search(line)
        if found is not None:
            if not damage and found[2] != _sum(found[1], line[: found.start()]):
                damage = "it differs from its checksum"
            elif not damage and found[1] != before:
                damage = "it is there twice, or lines before it are damaged or lost"
            before = found[2]
        yield line, log, before, damage


def _parsed(line: bytes) -> tuple[dict[str, Any], str]:
    """Return the entry of a line, and what is wrong with it."""
    try:
        log = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {}, f"it is not JSON ({error})"
    return (log, "") if isinstance(log, dict) and "op_code" in log else ({}, "it is no entry of a journal")


def _chained(texts: Iterable[str], before: bytes = b"") -> Iterator[bytes]:
    """Yield entries, as JSON, as lines with checksums."""
    for text in texts:
        body = text.encode()[:-1]
        own = _sum(before, body)
        yield body + b',"nasformer:sum":"' + before + b"-" + own + b'"}\n'
        before = own


def _sum(before: bytes, body: bytes) -> bytes:
    return sha256(before + body).hexdigest()[:8].encode()


def repair(path: Path) -> tuple[list[int], Path]:
    """Rewrite a journal without its damaged lines, and keep the damaged file beside it.

    A damaged trial stays as a failed one without an architecture, so that the others keep their numbers: the search
    evaluates it again. A study whose name is damaged gets another.

    Returns:
        The numbers of the damaged lines, and the path of the damaged file.

    Raises:
        LeaderError: A process runs a study of the journal.
        StudyError: Nothing is whole.
    """
    for leader in path.parent.glob(f"{glob.escape(path.name)}.*.leader"):
        FileLock.require_free(leader)
    lock = JournalLock(path)
    lock.acquire()
    try:
        damaged, kept = _readable_entries(path)
        if damaged and not kept:
            raise StudyError(f"{path} has no whole entry of a journal", path)
        names = (path.with_name(f"{path.name}.damaged-{number}") for number in count(1))
        backup = next(each for each in names if not each.exists())
        if damaged:
            os.link(path, backup)
            with atomic(path) as draft:
                draft.write_bytes(b"".join(_chained(kept)))
    finally:
        lock.release()
    return damaged, backup


def _readable_entries(path: Path) -> tuple[list[int], list[str]]:
    """Return the numbers of the damaged lines of a journal, and the entries to keep, without checksums."""
    damaged, kept, seen = [], [], set()
    with path.open("rb") as file:
        for number, (line, log, _, damage) in enumerate(_entries(file), 1):
            if damage:
                damaged.append(number)
            if _SUM.search(line) and line in seen:  # there twice
                continue
            seen.add(line)
            if log and not damage.startswith("it differs"):
                kept.append(_SUM.sub(b"}", line).decode().strip())
            elif substitute := _substitute(line, number):
                kept.append(json.dumps(substitute, separators=(",", ":")))
    return damaged, kept


def _substitute(line: bytes, number: int) -> dict[str, Any] | None:
    """Return the entry in the place of a damaged study or trial, which others count."""
    if b'"study_name"' in line or line.startswith(b'{"op_code":0,'):
        return {"op_code": 0, "worker_id": "", "study_name": f"damaged {number}", "directions": [2]}
    if b'"distributions"' not in line and not line.startswith(b'{"op_code":4,'):
        return None
    study = re.search(rb'"study_id":(\d{1,6})\b', line)
    owner = {"op_code": 4, "worker_id": "", "study_id": int(study[1]) if study else 0, "state": TrialState.FAIL.value}
    times = dict.fromkeys(("datetime_start", "datetime_complete"), "2000-01-01T00:00:00+00:00")
    empty = ("distributions", "params", "user_attrs", "system_attrs", "intermediate_values")
    return {**owner, **times, "value": None, "values": None, **{name: {} for name in empty}}
