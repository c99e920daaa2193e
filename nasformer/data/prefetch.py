"""One batch prefetch: the next is prepared in a thread while the caller computes on the present one."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

THREAD = "nasformer-next-batch"


def prefetched(items: Generator[T, None, None]) -> Iterator[T]:
    """Yield what ``items`` yields, each made before it is asked for.

    What is raised in making one is raised where it would be yielded. However the caller stops, the thread ends and
    ``items`` is closed, once the item in the making is done.

    >>> list(prefetched(place**2 for place in range(4)))
    [0, 1, 4, 9]
    """
    end = object()
    try:
        with ThreadPoolExecutor(1, thread_name_prefix=THREAD) as pool:
            coming = pool.submit(next, items, end)
            while (item := coming.result()) is not end:
                coming = pool.submit(next, items, end)
                yield item  # type: ignore[misc]  # what is not the end is an item
    finally:
        items.close()
