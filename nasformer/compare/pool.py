"""Process pool: workers share the cores, ignore SIGINT, and end with their parent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, as_completed
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from rich.progress import BarColumn, MofNCompleteColumn, TimeElapsedColumn, TimeRemainingColumn

from nasformer._console import PlainColumn, PlainProgress
from nasformer._processes import kill, start_executor
from nasformer.errors import NasformerError

Key = TypeVar("Key")


def run_in_pool(
    function: Callable[..., Any],
    work: Mapping[Key, tuple[Any, ...]],
    processes: int,
    error: type[NasformerError],
    begin: Callable[[], None] | None = None,
) -> Iterator[tuple[Key, Future[Any]]]:
    """Call a function with each piece of work, and yield its key and outcome once done; processes start with ``begin``.

    Raises:
        error: A process was killed. On this and any other error, running work is killed.
    """
    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // processes))
    pool, _ = start_executor(processes, begin, {"OMP_NUM_THREADS": threads})
    try:
        futures = {pool.submit(function, *arguments): key for key, arguments in work.items()}
        for future in as_completed(futures):
            if isinstance(killed := future.exception(), BrokenProcessPool):
                lead = "a process was killed, possibly out of memory; resume with the same command and fewer --workers"
                raise error(lead, processes) from killed
            yield futures[future], future
    except BaseException:
        kill(pool)
        raise
    pool.shutdown()


def progress_bar(shown: bool) -> PlainProgress:
    """Return a progress bar on standard error; its tasks have a field ``last``."""
    columns = (PlainColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
    ends = (TimeElapsedColumn(), TimeRemainingColumn(), PlainColumn("{task.fields[last]}"))
    return PlainProgress(*columns, *ends, shown=shown)
