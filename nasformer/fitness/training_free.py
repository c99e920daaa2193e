"""TrainingFreeFitness: a zero-cost proxy as fitness, for spaces without trained weights.

The proxies are the files of ``nasformer/fitness/proxies``. None is an accuracy: ``benchmarks/results/training_free.md``
says how well each ranks tables of measured accuracies, and how long it takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.fitness.proxies import DEFAULT, get_proxy
from nasformer.search import Evaluation
from nasformer.space import FeasibleSet, SearchSpace


class TrainingFreeFitness:
    """A score without training.

    Args:
        space: The space.
        seed: Random seed of the proxy's weights and inputs, if any.
        proxy: Name of the proxy: "az-nas", "dss", "params" (the number of parameters) or "prenas".

    Raises:
        FitnessError: An unknown proxy.
    """

    def __init__(self, space: SearchSpace, seed: int = 0, proxy: str = DEFAULT) -> None:
        self.space, self.seed, self.proxy = space, seed, proxy
        self._proxy = get_proxy(proxy)(space, seed)

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Yield the score of each architecture."""
        for architecture in architectures:
            try:
                yield Evaluation(architecture, self._proxy.score(architecture))
            except FitnessError as error:
                yield Evaluation(architecture, None, str(error))

    def check(self, feasible: FeasibleSet) -> None:
        """Check that the proxy's random weights belong to the searched space.

        Raises:
            FitnessError: Another space.
        """
        if feasible.space.fingerprint != self.space.fingerprint:
            raise FitnessError(f"this score was made for space {self.space.name!r}, not {feasible.space.name!r}", self)

    def describe(self) -> dict[str, Any]:
        """Return the proxy and the seed."""
        return {"kind": "training-free", "proxy": self.proxy, "seed": self.seed}
