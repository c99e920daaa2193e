"""Processes of this machine: executors of loky whose workers ignore SIGINT and end with their parent.

loky starts processes without running the main script again, so a script needs no ``if __name__ == "__main__":``.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker
from typing import Any

import cloudpickle
import psutil
from loky import ProcessPoolExecutor

_UNLIMITED = {"LOKY_MAX_MEMORY_LEAK_SIZE": "1e18"}  # mapped images grow a process: loky would restart it without state


class Process:
    """A process with an executor of its own, so that its death breaks no other."""

    def __init__(self) -> None:
        self._executor, self._pid = start_executor(1)

    def call(self, function: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Call a function in the process; the future has a ``BrokenProcessPool`` if it is gone."""
        future: Future[Any] = Future()
        try:
            future = self._executor.submit(function, *arguments)
        except BrokenProcessPool as error:  # it died idle
            future.set_exception(error)
        return future

    def pulse(self) -> float:
        """Return the processor seconds of the process and its children."""
        with suppress(TimeoutError, BrokenProcessPool, psutil.Error):
            process = psutil.Process(self._pid.result(timeout=0))
            every = [process, *process.children(recursive=True)]
            return float(sum(sum(each.cpu_times()[:4]) for each in every))  # user and system, of ended children too
        return 0.0  # not yet started, or gone

    def stop(self) -> None:
        """Kill the process."""
        kill(self._executor)


def start_executor(
    processes: int, begin: Callable[[], None] | None = None, env: Mapping[str, str] | None = None
) -> tuple[ProcessPoolExecutor, Future[int]]:
    """Return an executor whose processes are starting, and the process ID of one of them.

    Args:
        processes: Number of processes.
        begin: Called first in each process.
        env: Further environment variables of the processes.
    """
    packed = cloudpickle.dumps(begin)  # as bytes: a process reads them before it imports anything
    executor = ProcessPoolExecutor(
        processes, initializer=_begin, initargs=(os.getpid(), packed), env={**_UNLIMITED, **(env or {})}
    )
    resource_tracker.ensure_running()  # its start unblocks SIGINT
    with _no_interrupts():
        pid = executor.submit(os.getpid)
    # loky's own waits for running calls; the last registered is called first.
    threading._register_atexit(_kill_at_exit, weakref.ref(executor))  # type: ignore[attr-defined]
    return executor, pid


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Block SIGINT for processes started in this context, from their start."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def kill(executor: ProcessPoolExecutor) -> None:
    """Kill the processes of an executor, and wait until they have ended; not for long, since a disk may block one."""
    thread = threading.Thread(target=partial(executor.shutdown, kill_workers=True), daemon=True)
    thread.start()
    thread.join(timeout=10)


def _kill_at_exit(reference: weakref.ref[ProcessPoolExecutor]) -> None:
    executor = reference()
    if executor is not None:
        executor.shutdown(wait=False, kill_workers=True)  # loky waits


def _begin(parent: int, packed: bytes) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=partial(_end_with, parent), daemon=True).start()
    begin = pickle.loads(packed)
    if begin is not None:
        begin()


def _end_with(parent: int) -> None:
    while os.getppid() == parent and psutil.pid_exists(parent):  # the latter for Windows
        time.sleep(0.5)
    os._exit(1)
