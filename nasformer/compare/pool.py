"""Pool: processes that share the cores, leave Ctrl-C to their parent, and never outlive it."""

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
    """Yield a pool of spawned processes; when it is left early, what runs is ended.

    Args:
        processes: How many.
        begin: Called first in each process.
        *arguments: Of ``begin``; they are pickled.
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
    """Leave Ctrl-C to the parent, end when the parent is gone, however it ended, and begin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    if begin is not None:
        begin(*arguments)


def progress_bar(shown: bool) -> Progress:
    """Return a bar of what is done, on the standard error; its tasks have a field ``last``."""
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
    ends = (TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[last]}"))
    return Progress(*columns, *ends, console=Console(stderr=True), disable=not shown)
