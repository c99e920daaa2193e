"""Part: a chunk of a population for one worker, and the partition of a population.

Parts are contiguous in tree order, so a part shares most of its prefixes, and shrink towards the
end, so that all workers finish together: each is a fixed fraction of the remaining work (guided self-scheduling,
Polychronopoulos and Kuck, IEEE Transactions on Computers 1987).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nasformer.architecture import Architecture
from nasformer.fitness.prefix_tree import PrefixTree, in_tree_order

MAX_WORKER_FAILURES = 2
"""Worker failures after which a part is split into single architectures, and a single one has failed."""

_FIRST, _LEAST = 1 / 2, 1 / 8  # of a worker's fair share of the work


@dataclass(frozen=True, slots=True)
class Part:
    """A request to a worker.

    Args:
        architectures: The architectures to evaluate.
        images: In a race, start and stop of the images whose outcomes are requested; None: evaluations.
        failures: Number of workers lost with it.
    """

    architectures: tuple[Architecture, ...]
    images: tuple[int, int] | None = None
    failures: int = 0

    def after_failure(self) -> list[Part]:
        """Return the parts to retry: all, then each architecture alone, then none."""
        if self.failures + 1 < MAX_WORKER_FAILURES:
            return [replace(self, failures=self.failures + 1)]
        if len(self.architectures) == 1:
            return []
        return [Part((architecture,), self.images) for architecture in self.architectures]


def cut(architectures: Sequence[Architecture], workers: int, images: tuple[int, int] | None = None) -> list[Part]:
    """Partition a population for a number of workers; duplicates count once.

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
