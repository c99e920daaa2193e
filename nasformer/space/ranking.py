"""Ranking: the k best paths through chains, lazily in order of descending score.

With V_n(s) the maximal score of n choices that sum to s: V_0(0) = 0 and
V_n(s) = max over options o of V_{n-1}(s - cost(o)) + score_n(o). Backpath_seting gives the best path, deviations the
others (Lawler, Management Science 18, 1972; Jiménez and Marzal, WAE 1999): the next best path follows a path already
yielded up to a step where it takes the next best option, and is optimal from there on. V gives the exact score of
each such candidate, so a heap of one candidate per step yields the paths in order, without enumeration.
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
"""Maximal sums of one chain to maximise over, eight bytes each; more are an error: 256 MiB."""

Table = NDArray[np.float64]
"""Score of each option at each step, ``(choices, options)``."""


class MaxSums:
    """The maximal score of every sum of a chain (Viterbi).

    Args:
        steps: The chain.
        table: Scores, ``(choices, options)``.

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
        """Return the maximal score of each sum of ``n`` choices, ``(sums,)``."""
        return self._values[n]

    def options(self, n: int, at: int) -> list[tuple[float, int, int]]:
        """Return the possible last options of ``n`` choices to a sum, best first: score, option, predecessor."""
        if (n, at) not in self._options:  # similar paths share sums
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
            f"to maximise over these costs takes {sums:,} sums, more than {MAX_SUMS:,}; score heads "
            "and MLP ratios separately instead of as pairs, or give a resolution",
            sums,
        )


@dataclass(frozen=True, slots=True)
class PathSet:
    """The paths through one or more chains to given final sums.

    Args:
        key: The caller's key.
        offset: Score that all paths share.
        maxima: One per chain.
        choices: Choices per chain.
        ends: Indices of the final sums of each chain, ``(ends,)`` each.
    """

    key: int
    offset: float
    maxima: tuple[MaxSums, ...]
    choices: int
    ends: tuple[Indices, ...]

    def scores(self) -> NDArray[np.float64]:
        """Return the score of the best path to each final sum, ``(ends,)``."""
        each = (best.value(self.choices)[end] for best, end in zip(self.maxima, self.ends, strict=True))
        return np.asarray(self.offset + sum(each))


Path = tuple[int, ...]
"""Options so far: the first chain's choices backwards, then the next chain's."""


@dataclass(frozen=True, slots=True)
class _Ends:
    """A path set's remaining final sums, by descending score."""

    path_set: PathSet
    ends: Iterator[tuple[float, int]]


class _Deviation(NamedTuple):
    """A step of a path at which the next best option may be taken.

    ``done`` is the score of the path so far, ``remaining`` the maximal score of the chains after each chain.
    """

    path_set: PathSet
    ends: tuple[int, ...]
    remaining: tuple[float, ...]
    path: Path
    done: float
    options: list[tuple[float, int, int]]
    rank: int

    @property
    def score(self) -> float:
        """Score of the best path that takes the option of this rank."""
        return self.done + self.options[self.rank][0] + self.remaining[len(self.path) // self.path_set.choices]


_Entry = tuple[float, int, _Ends | _Deviation, int]


def ranked(path_sets: Sequence[PathSet]) -> Iterator[tuple[int, list[Indices]]]:
    """Yield the path set's key and the options of each chain, ``(choices,)`` each, by descending score.

    Ties go to the first path set, final sum and option.
    """
    heap: list[_Entry] = []
    serial = count()
    for path_set in path_sets:
        _push_ends(heap, serial, _Ends(path_set, _descending(path_set.scores())))
    while heap:
        _, _, at, end = heapq.heappop(heap)
        path, deviations = _from_end(at.path_set, end) if isinstance(at, _Ends) else _deviate(at)
        yield at.path_set.key, _by_chain(at.path_set, path)
        if isinstance(at, _Ends):
            _push_ends(heap, serial, at)
        for deviation in deviations if isinstance(at, _Ends) else [at, *deviations]:
            if deviation.rank + 1 < len(deviation.options):
                rival = deviation._replace(rank=deviation.rank + 1)
                heapq.heappush(heap, (-rival.score, next(serial), rival, 0))


def _push_ends(heap: list[_Entry], serial: Iterator[int], root: _Ends) -> None:
    for score, end in root.ends:
        heapq.heappush(heap, (-score, next(serial), root, end))
        return


def _descending(scores: NDArray[np.float64]) -> Iterator[tuple[float, int]]:
    """Yield scores and indices in descending order; sorted only if more than the first is needed."""
    first = int(scores.argmax())
    yield float(scores[first]), first
    for at in np.argsort(-scores, kind="stable")[1:].tolist():
        yield float(scores[at]), at


def _from_end(path_set: PathSet, at: int) -> tuple[Path, list[_Deviation]]:
    ends = tuple(int(end[at]) for end in path_set.ends)
    values = [float(best.value(path_set.choices)[end]) for best, end in zip(path_set.maxima, ends, strict=True)]
    remaining = tuple(sum(values[chain + 1 :]) for chain in range(len(values)))
    return _complete(path_set, ends, remaining, (), path_set.offset, 0)


def _deviate(deviation: _Deviation) -> tuple[Path, list[_Deviation]]:
    path_set = deviation.path_set
    _, option, at = deviation.options[deviation.rank]
    done = deviation.done + _gain(path_set, len(deviation.path), option)
    return _complete(path_set, deviation.ends, deviation.remaining, (*deviation.path, option), done, at)


def _complete(
    path_set: PathSet, ends: tuple[int, ...], remaining: tuple[float, ...], path: Path, done: float, at: int
) -> tuple[Path, list[_Deviation]]:
    """Complete a path optimally; return it and the deviation at each new step."""
    deviations = []
    for step in range(len(path), len(path_set.maxima) * path_set.choices):
        chain, back = divmod(step, path_set.choices)
        options = path_set.maxima[chain].options(path_set.choices - back, at if back else ends[chain])
        deviations.append(_Deviation(path_set, ends, remaining, path, done, options, 0))
        _, option, at = options[0]
        path = (*path, option)
        done += _gain(path_set, step, option)
    return path, deviations


def _gain(path_set: PathSet, step: int, option: int) -> float:
    """Return the score of an option at a step of a path."""
    chain, back = divmod(step, path_set.choices)
    return path_set.maxima[chain].gains[path_set.choices - back - 1][option]


def _by_chain(path_set: PathSet, path: Path) -> list[Indices]:
    return [np.array(part[::-1]) for part in zip(*[iter(path)] * path_set.choices, strict=True)]
