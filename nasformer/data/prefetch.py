"""Prefetching: a thread prepares the next batch while the caller computes on the current one."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

THREAD = "nasformer-next-batch"


def prefetched(items: Generator[T, None, None]) -> Iterator[T]:
    """Yield the items of ``items``, each computed one step ahead.

    An error is raised in place of its item. However the caller stops, the thread ends and
    ``items`` is closed as soon as the pending item is done.

    >>> list(prefetched(place**2 for place in range(4)))
    [0, 1, 4, 9]
    """
    end = object()
    try:
        with ThreadPoolExecutor(1, thread_name_prefix=THREAD) as pool:
            coming = pool.submit(next, items, end)
            while (item := coming.result()) is not end:
                coming = pool.submit(next, items, end)
                yield item  # type: ignore[misc]  # everything but the sentinel is an item
    finally:
        items.close()
