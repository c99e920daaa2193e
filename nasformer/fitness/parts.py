"""Part: the share of a population that one worker takes at a time, and how a population is cut into them.

Parts are runs of the tree order, so that a part shares most of its prefixes, and they get smaller towards the
end, so that all finish together: each takes a fixed fraction of the work that is left (guided self-scheduling,
Polychronopoulos and Kuck, IEEE Transactions on Computers 1987).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nasformer.architecture import Architecture
from nasformer.fitness.prefix_tree import PrefixTree, in_tree_order

MAX_WORKER_FAILURES = 2
"""Workers that a part may cost before its architectures go one at a time, and one of them before it has failed."""

_FIRST, _LEAST = 1 / 2, 1 / 8  # of a worker's fair share of the work


@dataclass(frozen=True, slots=True)
class Part:
    """A request to a worker.

    Args:
        architectures: Who is to be judged.
        images: From which to which their outcomes are wanted, in a race; None: their evaluations.
        failures: Number of workers that died evaluating it.
    """

    architectures: tuple[Architecture, ...]
    images: tuple[int, int] | None = None
    failures: int = 0

    def without(self, architecture: Architecture) -> Part:
        """Return what is left once an architecture is judged."""
        return replace(self, architectures=tuple(each for each in self.architectures if each != architecture))

    def after_failure(self) -> list[Part]:
        """Return what to ask again: all, then each alone, then nothing."""
        if not self.architectures:
            return []
        if self.failures + 1 < MAX_WORKER_FAILURES:
            return [replace(self, failures=self.failures + 1)]
        if len(self.architectures) == 1:
            return []
        return [Part((architecture,), self.images) for architecture in self.architectures]


def cut(architectures: Sequence[Architecture], workers: int, images: tuple[int, int] | None = None) -> list[Part]:
    """Return a population in parts for a number of workers; one that comes twice counts once.

    >>> from nasformer.architecture import uniform
    >>> population = [uniform(64, depth, 4, 2) for depth in range(1, 13)]
    >>> [len(part.architectures) for part in cut(population, 2)]
    [7, 2, 2, 1]
    """
    ordered = in_tree_order(list(dict.fromkeys(architectures)))
    shares = PrefixTree(ordered).shares()
    left = sum(shares.values())
    least = _LEAST * left / workers
    parts: list[Part] = []
    part: list[Architecture] = []
    work = 0.0
    for architecture in ordered:
        part.append(architecture)
        work += shares[architecture]
        if work >= max(least, _FIRST * left / workers):
            parts.append(Part(tuple(part), images))
            left -= work
            part, work = [], 0.0
    return [*parts, Part(tuple(part), images)] if part else parts
