"""Ranking: paths through chains in order of falling score, each only when it is asked for.

With V_n(s) the best score of n choices that sum to s: V_0(0) = 0 and
V_n(s) = max over options o of V_{n-1}(s - cost(o)) + score_n(o). Following the maxima back gives the best
path. The others come by deviation (Lawler, Management Science 18, 1972; Jiménez and Marzal, WAE 1999): the
next best path equals some path already given up to a place where it takes the next best option, and is the
best from there on. V says what each such candidate is worth, so a heap holds one for every place and the
top of the heap is exact: nothing is searched twice and nothing has to be listed.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nasformer.errors import BudgetError
from nasformer.space.chain import Indices, Steps

MAX_SUMS = 2**25
"""Most sums of one chain, eight bytes each, before maximising is refused: 256 MiB."""

Table = NDArray[np.float64]
"""Score of each option at each place, ``(choices, options)``."""


class Best:
    """The best score of every sum of a chain.

    Args:
        steps: The chain.
        table: Scores.

    Raises:
        BudgetError: The chain has more than ``MAX_SUMS`` sums in all.
    """

    def __init__(self, steps: Steps, table: Table) -> None:
        _check_size(sum(steps.size(n) for n in range(len(table) + 1)))
        self.steps, self.table = steps, table
        self.gains: list[list[float]] = table.tolist()
        self._values = [np.zeros(1)]
        self._options: dict[tuple[int, int], list[tuple[float, int, int]]] = {}
        for n in range(1, len(table) + 1):
            self._values.append(steps.best(n, self._values[-1], table[n - 1]))

    def value(self, n: int) -> NDArray[np.float64]:
        """Return the best score of each sum of ``n`` choices, ``(sums,)``."""
        return self._values[n]

    def options(self, n: int, at: int) -> list[tuple[float, int, int]]:
        """Return the last of ``n`` choices that reach a sum, best first: score, option, the sum before."""
        if (n, at) not in self._options:  # paths that rank near each other pass the same sums
            self._options[n, at] = self._sorted(n, at)
        return self._options[n, at]

    def _sorted(self, n: int, at: int) -> list[tuple[float, int, int]]:
        predecessor = self.steps.predecessor_at(n, np.array([at]))[0]
        scores, before = (self._values[n - 1][predecessor] + self.table[n - 1]).tolist(), predecessor.tolist()
        possible = [option for option, index in enumerate(before) if index >= 0]
        possible.sort(key=lambda option: -scores[option])
        return [(scores[option], option, before[option]) for option in possible]


def _check_size(sums: int) -> None:
    if sums > MAX_SUMS:
        raise BudgetError(
            f"to maximise over these costs {sums:,} sums have to be told apart, more than {MAX_SUMS:,}; score heads "
            "and MLP ratios apart instead of as pairs, or give a resolution",
            sums,
        )


@dataclass(frozen=True, slots=True)
class Track:
    """Paths that compete: those through one or more chains, from any of the ends given.

    Args:
        key: What the caller knows the track by.
        offset: Score that all its paths share.
        bests: One for each chain.
        choices: How many choices are made in each chain.
        ends: Indices of sums, one array for each chain, ``(ends,)`` each.
    """

    key: int
    offset: float
    bests: tuple[Best, ...]
    choices: int
    ends: tuple[Indices, ...]

    def scores(self) -> NDArray[np.float64]:
        """Return the score of the best path from each end, ``(ends,)``."""
        each = (best.value(self.choices)[end] for best, end in zip(self.bests, self.ends, strict=True))
        return np.asarray(self.offset + sum(each))


Path = tuple[int, ...]
"""Options taken so far: the first chain's last choice, back to its first, then the next chain's."""


@dataclass(frozen=True, slots=True)
class _Root:
    """A track's ends that have not been taken, by falling score."""

    track: Track
    ends: Iterator[tuple[float, int]]


class _Fork(NamedTuple):
    """A place on a path, and the options that have not been taken there.

    ``done`` is the score of the path before; ``rests`` the best of the chains after each chain.
    """

    track: Track
    ends: tuple[int, ...]
    rests: tuple[float, ...]
    path: Path
    done: float
    options: list[tuple[float, int, int]]
    rank: int

    @property
    def score(self) -> float:
        """Score of the best path that takes the next option here."""
        return self.done + self.options[self.rank][0] + self.rests[len(self.path) // self.track.choices]


_Entry = tuple[float, int, _Root | _Fork, int]


def ranked(tracks: Sequence[Track]) -> Iterator[tuple[int, list[Indices]]]:
    """Yield the key of the track and the options of each chain, ``(choices,)`` each, by falling score.

    Ties go to the track, the end and the option that come first.
    """
    heap: list[_Entry] = []
    serial = count()
    for track in tracks:
        _push_root(heap, serial, _Root(track, _falling(track.scores())))
    while heap:
        _, _, at, end = heapq.heappop(heap)
        path, forks = _from_root(at.track, end) if isinstance(at, _Root) else _from_fork(at)
        yield at.track.key, _by_chain(at.track, path)
        if isinstance(at, _Root):
            _push_root(heap, serial, at)
        for fork in forks if isinstance(at, _Root) else [at, *forks]:
            if fork.rank + 1 < len(fork.options):
                rival = fork._replace(rank=fork.rank + 1)
                heapq.heappush(heap, (-rival.score, next(serial), rival, 0))


def _push_root(heap: list[_Entry], serial: Iterator[int], root: _Root) -> None:
    for score, end in root.ends:
        heapq.heappush(heap, (-score, next(serial), root, end))
        return


def _falling(scores: NDArray[np.float64]) -> Iterator[tuple[float, int]]:
    """Yield scores and their places, the largest first; sorted only once the second is asked for."""
    first = int(scores.argmax())
    yield float(scores[first]), first
    for at in np.argsort(-scores, kind="stable")[1:].tolist():
        yield float(scores[at]), at


def _from_root(track: Track, at: int) -> tuple[Path, list[_Fork]]:
    ends = tuple(int(end[at]) for end in track.ends)
    values = [float(best.value(track.choices)[end]) for best, end in zip(track.bests, ends, strict=True)]
    rests = tuple(sum(values[chain + 1 :]) for chain in range(len(values)))
    return _complete(track, ends, rests, (), track.offset, 0)


def _from_fork(fork: _Fork) -> tuple[Path, list[_Fork]]:
    track = fork.track
    _, option, at = fork.options[fork.rank]
    done = fork.done + _gain(track, len(fork.path), option)
    return _complete(track, fork.ends, fork.rests, (*fork.path, option), done, at)


def _complete(
    track: Track, ends: tuple[int, ...], rests: tuple[float, ...], path: Path, done: float, at: int
) -> tuple[Path, list[_Fork]]:
    """Take the best option at every place left; return the whole path, and the fork at each place."""
    forks = []
    for place in range(len(path), len(track.bests) * track.choices):
        chain, back = divmod(place, track.choices)
        options = track.bests[chain].options(track.choices - back, at if back else ends[chain])
        forks.append(_Fork(track, ends, rests, path, done, options, 0))
        _, option, at = options[0]
        path = (*path, option)
        done += _gain(track, place, option)
    return path, forks


def _gain(track: Track, place: int, option: int) -> float:
    """Score of an option at a place of a path."""
    chain, back = divmod(place, track.choices)
    return track.bests[chain].gains[track.choices - back - 1][option]


def _by_chain(track: Track, path: Path) -> list[Indices]:
    return [np.array(part[::-1]) for part in zip(*[iter(path)] * track.choices, strict=True)]
