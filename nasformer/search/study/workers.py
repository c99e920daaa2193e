"""Workers: processes that share a study, and how the living are told from the dead.

Optuna's own heartbeats exist only for databases and only inside ``study.optimize``; these serve every storage. A
worker counts up a beat in the study every ``HEARTBEAT`` seconds. On its own machine it is dead as soon as its
process is; elsewhere once another has seen no beat for ``LEASE`` seconds of its own clock, so that no two
machines need to agree on the time.
"""

from __future__ import annotations

import logging
import os
import platform
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from nasformer.errors import StudyError

HEARTBEAT = 10.0
LEASE = 60.0

_LOGGER = logging.getLogger(__name__)


def new_worker() -> str:
    """Return a name for this process that no other has had: host, process, its start, and chance."""
    return "|".join((_host(), str(os.getpid()), _started(os.getpid()) or "", secrets.token_hex(4)))


def _host() -> str:
    """Return what tells machines, their boots and their containers apart."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
        return f"{platform.node()}:{boot}:{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return platform.node()


def _started(process: int) -> str | None:
    """Return when a process started, in ticks since the boot; None where it has ended or cannot be asked."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def ended(worker: str) -> bool:
    """Whether a worker of this machine has ended for certain."""
    try:
        host, process, started, _ = worker.split("|")
    except ValueError:
        return False
    if host != _host():
        return False
    if Path("/proc/self/stat").exists():
        return _started(int(process)) != started
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


class LivenessMonitor:
    """What this process has seen of the others' beats.

    Args:
        clock: Seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[object, float]] = {}

    def is_alive(self, worker: str, beat: object) -> bool:
        """Whether a worker has not ended and its beat has changed within the lease."""
        if ended(worker):
            return False
        now = self._clock()
        last, since = self._seen.get(worker, (None, now))
        if beat != last or worker not in self._seen:
            self._seen[worker] = (beat, now)
            return True
        return now - since < LEASE

    def alive(self, beats: Mapping[str, int]) -> dict[str, int]:
        """Return the beats of the living."""
        return {worker: beat for worker, beat in beats.items() if self.is_alive(worker, beat)}


class HeartbeatThread:
    """Beats while the context lasts.

    Args:
        beat: Called every ``HEARTBEAT`` seconds; where it fails, it is called again the next time.
    """

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat, self._stop = beat, threading.Event()
        self._thread = threading.Thread(target=self._run, name="nasformer-heartbeat", daemon=True)

    def _run(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            try:
                self._beat()
            except StudyError as error:
                _LOGGER.warning("no heartbeat: %s", error)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
