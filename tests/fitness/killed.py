"""A search that races on a regression, as a program that kills itself once a trial is on record.

python -m tests.fitness.killed STORAGE TRIAL
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from nasformer.data import Dataset, load_dataset
from nasformer.fitness import InheritedFitness
from nasformer.search import SearchResult, Trial
from nasformer.searcher import Searcher
from nasformer.space import SearchSpace, load_space
from nasformer.supernet import Supernet
from tests.tiny import brightness


def regression() -> tuple[Supernet, Dataset]:
    """Return a supernet whose architectures differ much, and the data of a regression."""
    space = SearchSpace.from_dict({**load_space("digits").to_dict(), "num_classes": 2})
    net = Supernet(space, seed=1)
    net.head.weight.data.mul_(20)
    return net, brightness(load_dataset("digits"))


def search(**run: Any) -> SearchResult:
    """Run the search, from wherever the storage has got to."""
    net, data = regression()
    fitness = InheritedFitness(
        net, data.search, task=data.task, device="cpu", objective="mae", racing={"first": 20, "growth": 1.3}
    )
    searcher = Searcher(net.space, "evolution", fitness, seed=1, population=12, parents=3, mutants=6, crossovers=6)
    return searcher.run(evaluations=36, batch_size=12, progress=False, **run)


def main(storage: str, number: int) -> None:
    """Search, and die after a trial."""

    def die(trial: Trial) -> None:
        if trial.number == number:
            os.kill(os.getpid(), signal.SIGKILL)

    search(storage=storage, callback=die)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
