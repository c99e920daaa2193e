"""Process pool: workers share the cores, ignore SIGINT, and end with their parent."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from nasformer.fitness.processes import end_with_parent


@contextmanager
def pool_of(
    processes: int, begin: Callable[..., None] | None = None, *arguments: object
) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of spawned processes; on an error, running jobs are terminated.

    Args:
        processes: Number of processes.
        begin: Initialiser of each process.
        *arguments: Arguments of ``begin``; pickled.
    """
    threads = str(max(1, (os.cpu_count() or 1) // processes))
    kept = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = kept or threads
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _begin, (begin, arguments))
    try:
        yield pool
    except BaseException:
        for process in list(pool._processes.values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        if kept is None:
            del os.environ["OMP_NUM_THREADS"]


def _begin(begin: Callable[..., None] | None, arguments: tuple[object, ...]) -> None:
    """Ignore SIGINT, watch the parent, and run the initialiser."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    if begin is not None:
        begin(*arguments)


def progress_bar(shown: bool) -> Progress:
    """Return a progress bar on standard error; its tasks have a field ``last``."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
    ends = (TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[last]}"))
    return Progress(*columns, *ends, console=Console(stderr=True), disable=not shown)
