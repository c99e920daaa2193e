"""Processes: a worker backend on this machine, one process per worker.

They are spawned, since forking a process with CUDA or threads is unsafe. Workers ignore SIGINT, which the parent
handles; they end with the parent, however it ends.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import NamedTuple

from nasformer.fitness.dispatch import Answered, Event, Finished, Lost
from nasformer.fitness.parts import Part
from nasformer.fitness.worker import Worker


class _Handle(NamedTuple):
    process: SpawnProcess
    connection: Connection
    sender: threading.Thread


class Processes:
    """Workers in processes.

    Args:
        packed_build: The fitness builder, from ``worker.pack``.
        devices: Device of each worker.
        threads: Torch threads of each worker.
    """

    def __init__(self, packed_build: bytes, devices: Sequence[str], threads: int) -> None:
        self.size = len(devices)
        self._packed_build, self._devices, self._threads = packed_build, devices, threads
        self._handles: dict[int, _Handle] = {}
        weakref.finalize(self, _end_all, self._handles)

    def start(self, worker: int) -> None:
        """Spawn a process."""
        context = multiprocessing.get_context("spawn")
        own, its = context.Pipe()
        arguments = its, worker, self._devices[worker], self._threads
        process = context.Process(target=_work, args=arguments, name=f"nasformer-worker-{worker}", daemon=True)
        with _no_interrupts():
            process.start()
        its.close()
        # In a thread: a pipe buffers little before the worker reads, and the worker first imports torch.
        sender = threading.Thread(target=_send, args=(own, self._packed_build), daemon=True)
        sender.start()
        self._handles[worker] = _Handle(process, own, sender)

    def give(self, worker: int, part: Part) -> None:
        """Send a part; ``wait`` reports a dead worker."""
        with suppress(OSError):
            self._handles[worker].connection.send(part)

    def wait(self) -> list[Event]:
        """Return one event per process with pending events."""
        by_connection = {handle.connection: worker for worker, handle in self._handles.items()}
        return [self._receive(by_connection[ready]) for ready in wait(list(by_connection))]  # type: ignore[index]

    def stop(self, worker: int) -> None:
        """Kill a worker's process, if any."""
        if worker in self._handles:
            _end(self._handles.pop(worker))

    def _receive(self, worker: int) -> Event:
        process, connection, _ = self._handles[worker]
        try:
            event: Event = connection.recv()
        except (EOFError, OSError):
            process.join(timeout=10)
            return Lost(worker, _ended(process))
        return event


def _work(connection: Connection, number: int, device: str, threads: int) -> None:
    """Run a worker: receive the packed build, then evaluate parts until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it could not be blocked from the start
    end_with_parent()
    with suppress(EOFError, OSError):
        worker, event = Worker.make(number, connection.recv_bytes(), device, threads)
        connection.send(event)
        while worker is not None:
            for architecture, answer in worker.answers(connection.recv()):
                connection.send(Answered(number, architecture, answer))
            connection.send(Finished(number))


def end_with_parent() -> None:
    """End this process once its parent has ended, for whatever reason."""
    threading.Thread(target=_outlive_nobody, daemon=True).start()


def _outlive_nobody() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Block SIGINT for processes started in this context, from their start."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # its start unblocks SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _send(connection: Connection, packed_build: bytes) -> None:
    with suppress(OSError):
        connection.send_bytes(packed_build)


def _end(handle: _Handle) -> None:
    handle.process.kill()
    handle.process.join()
    handle.sender.join()  # its pipe is broken, so it ends
    handle.connection.close()


def _end_all(handles: dict[int, _Handle]) -> None:
    while handles:
        _end(handles.popitem()[1])


def _ended(process: SpawnProcess) -> str:
    code = process.exitcode
    if code is None or code >= 0:
        return f"process {process.pid} ended with code {code}"
    how = f"process {process.pid} was ended by {signal.Signals(-code).name}"
    return how + (" (by hand, or because memory ran out)" if -code == getattr(signal, "SIGKILL", None) else "")
