"""The next batch is made in a thread that ends with its caller."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest
import torch

from nasformer.data import ImagesInMemory, iterate
from nasformer.data.prefetch import THREAD, prefetched
from nasformer.errors import DataError
from tests.data.test_dataset import Lazy


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(THREAD)]


class Made:
    """Numbers that say when they are made, and where."""

    def __init__(self) -> None:
        self.places = [threading.Event() for _ in range(5)]
        self.closed = False

    def items(self) -> Generator[str, None, None]:
        try:
            for event in self.places:
                event.set()
                yield threading.current_thread().name
        finally:
            self.closed = True


def test_the_next_is_made_while_the_caller_has_the_present_one() -> None:
    made = Made()
    for place, name in enumerate(prefetched(made.items())):
        assert name.startswith(THREAD)
        if place + 1 < len(made.places):
            assert made.places[place + 1].wait(timeout=60)
        if place + 2 < len(made.places):
            assert not made.places[place + 2].is_set()
    assert made.closed
    assert not threads()


@pytest.mark.parametrize("way", ["close", "break", "raise"])
def test_a_caller_that_stops_early_leaves_no_thread(way: str) -> None:
    made = Made()
    items = prefetched(made.items())
    if way == "close":
        next(items)
        assert threads()
        items.close()  # type: ignore[attr-defined]
    elif way == "break":
        for _ in items:
            break
        del items
    else:
        with pytest.raises(KeyboardInterrupt):
            _interrupted(made)
        del items
    assert not threads()
    assert way == "raise" or made.closed


def _interrupted(made: Made) -> None:
    for _ in prefetched(made.items()):
        raise KeyboardInterrupt


def test_batches_ahead_are_the_batches() -> None:
    for seed in (None, 3):
        plain, fetched = (
            [x for x, _ in iterate(Lazy(), 4, seed=seed, start=1, stop=9, prefetch=each)] for each in (False, True)
        )
        assert [len(x) for x in fetched] == [4, 4]
        assert torch.equal(torch.cat(plain), torch.cat(fetched))


def test_an_error_reaches_the_caller_after_the_batches_before_it() -> None:
    batches = iterate(Lazy(broken=7), 4, prefetch=True)
    assert next(batches)[0][:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    with pytest.raises(DataError, match=r"^cannot read the image 7\.png: torn$"):
        next(batches)
    assert not threads()


def test_images_in_memory_need_no_thread() -> None:
    split = ImagesInMemory(torch.rand(8, 1, 4, 4), torch.arange(8) % 2)
    batches = iterate(split, 4, prefetch=True)
    next(batches)
    assert not threads()


def test_global_random_state_is_left_alone() -> None:
    state = torch.random.get_rng_state()
    list(iterate(Lazy(), 4, seed=3, prefetch=True))
    assert torch.equal(torch.random.get_rng_state(), state)
