"""Process pool: workers share the cores, ignore SIGINT, and end with their parent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from loky import ProcessPoolExecutor
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from nasformer._console import PlainColumn, PlainConsole
from nasformer._processes import kill, start_executor


@contextmanager
def pool_of(processes: int, begin: Callable[[], None] | None = None) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes; on an error, running jobs are killed.

    Args:
        processes: Number of processes.
        begin: Initialiser of each process; pickled.
    """
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // processes))
    pool, _ = start_executor(processes, begin, {"OMP_NUM_THREADS": threads})
    try:
        yield pool
    except BaseException:
        kill(pool)
        raise
    pool.shutdown()


def progress_bar(shown: bool) -> Progress:
    """Return a progress bar on standard error; its tasks have a field ``last``."""
    columns = (PlainColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
    ends = (TimeElapsedColumn(), TimeRemainingColumn(), PlainColumn("{task.fields[last]}"))
    return Progress(*columns, *ends, console=PlainConsole(stderr=True), disable=not shown)
