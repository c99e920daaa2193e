"""The base class of zero-cost proxies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.space import SearchSpace
from nasformer.tasks import Metric


class Proxy(ABC):
    """A score of architectures without training; higher is better.

    Args:
        space: The space.
        seed: Random seed of weights and inputs, if any.
    """

    metric: ClassVar[Metric]
    """The score's name, title and digits, for messages and pages."""

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        self.space, self.seed = space, seed

    @abstractmethod
    def score(self, architecture: Architecture) -> float:
        """Return the score of an architecture.

        Raises:
            FitnessError: The proxy has no score for it.
        """


def require_weights(architecture: Architecture) -> None:
    """Raise FitnessError if an architecture skips every branch."""
    if not any(architecture.num_heads) and not any(architecture.hidden_dims):
        raise FitnessError("every layer is skipped: there is no weight to score", architecture)
