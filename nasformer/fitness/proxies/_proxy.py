"""The base class of zero-cost proxies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import ClassVar, TypeVar

import torch
from threadpoolctl import ThreadpoolController

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.space import SearchSpace
from nasformer.tasks import Metric

Matrix = TypeVar("Matrix")


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


def in_threads(function: Callable[[Matrix], float], matrices: Iterable[Matrix]) -> list[float]:
    """Return ``function`` of each matrix, in as many threads as torch has.

    LAPACK's eigensolvers gain little from several threads at these sizes, so each call has one.
    """
    with _blas().limit(limits=1, user_api="blas"), ThreadPoolExecutor(torch.get_num_threads()) as pool:
        return list(pool.map(function, matrices))


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()
