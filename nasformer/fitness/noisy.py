"""NoisyFitness: Gaussian noise on another fitness, common to all strategies (common random numbers).

The noise is a pure function of seed, architecture and purpose: their hash as a uniform number, mapped through the
inverse normal CDF. So runs of one seed are paired: every strategy observes the same value of an architecture,
in any order and on any worker.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from statistics import NormalDist
from typing import Any

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.search import Evaluation, Fitness
from nasformer.search.evaluation import WrapperFitness

_TOLD = ("images",)


class NoisyFitness(WrapperFitness):
    """A fitness with independent Gaussian noise per architecture.

    Of the metrics only ``standard_error`` and ``images`` are reported: an exact loss would leak the value. The
    ground truth (``true_value``, ``test_value``, ``optimum``) stays noise-free.

    Args:
        fitness: The fitness; it must not be joint (racing).
        sd: Standard deviation of the noise, in the value's unit.
        seed: Seed of the noise.
        confirmation_sd: Standard deviation of the fresh noise of ``confirm``; None: ``sd``.

    Raises:
        FitnessError: A standard deviation is not a number of 0 or more, or the fitness is joint.

    >>> from nasformer.architecture import uniform
    >>> from nasformer.search import CallableFitness
    >>> noisy = NoisyFitness(CallableFitness(lambda architecture: architecture.depth), sd=0.5, seed=3)
    >>> told = [next(noisy.evaluate([uniform(64, 3, 4, 2)])).value for _ in range(2)]
    >>> told[0] == told[1] != next(noisy.confirm([uniform(64, 3, 4, 2)])).value
    True
    """

    def __init__(self, fitness: Fitness, sd: float, seed: int = 0, confirmation_sd: float | None = None) -> None:
        self.sd = _deviation("noise", sd)
        self.confirmation_sd = self.sd if confirmation_sd is None else _deviation("confirmation_sd", confirmation_sd)
        super().__init__(fitness)
        self.seed = seed
        if getattr(fitness, "joint", False):
            raise FitnessError(
                f"noise {sd} needs a fitness that evaluates architectures independently; racing does not", fitness
            )

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Yield values with the noise common to all searches of this seed."""
        return self._told(self.fitness.evaluate(architectures), self.sd, "evaluate")

    def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Yield values of the fitness's own ``confirm``, with fresh noise."""
        found = getattr(self.fitness, "confirm", self.fitness.evaluate)(architectures)
        return self._told(found, self.confirmation_sd, "confirm")

    def describe(self) -> dict[str, Any]:
        """Return the description of the fitness, with the noise."""
        noise = {"sd": self.sd, "seed": self.seed, "confirmation_sd": self.confirmation_sd}
        return {**super().describe(), "noise": noise}

    def _told(self, found: Iterable[Evaluation], sd: float, purpose: str) -> Iterator[Evaluation]:
        for each in found:
            value = each.value
            if value is not None:
                value += sd * standard_normal(self.seed, each.architecture, purpose)
            metrics = {name: each.metrics[name] for name in _TOLD if name in each.metrics}
            metrics["standard_error"] = math.hypot(sd, each.standard_error or 0.0)
            yield Evaluation(each.architecture, value, each.error, each.seconds, metrics)


def standard_normal(seed: int, architecture: Architecture, purpose: str) -> float:
    """Return a standard normal number determined by the arguments.

    >>> from nasformer.architecture import uniform
    >>> round(standard_normal(0, uniform(64, 3, 4, 2), "evaluate"), 5)
    -0.35534
    """
    words = f"{seed}|{purpose}|{architecture.to_json()}"
    number = int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "big") >> 12
    return NormalDist().inv_cdf((number + 0.5) / 2**52)  # exact, strictly between 0 and 1


def _deviation(name: str, sd: float) -> float:
    if not (isinstance(sd, (int, float)) and math.isfinite(sd) and sd >= 0):
        raise FitnessError(f"{name} must be a standard deviation of 0 or more, got {sd!r}", sd)
    return float(sd)
