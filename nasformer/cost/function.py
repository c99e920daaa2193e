"""FunctionCost: a black-box cost, such as the measured latency of the whole network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from nasformer.architecture import Architecture
from nasformer.errors import BudgetError


@dataclass(frozen=True, slots=True)
class FunctionCost:
    """Any function of an architecture as a cost; sets that it bounds are sampled by rejection.

    Args:
        name: The cost's name in budgets, including its unit if any.
        function: Architecture -> cost. It must be deterministic: spaces cache its values.
        identity: Distinguishes costs of the same name, such as a version; recorded with searches.

    >>> from nasformer.architecture import uniform
    >>> FunctionCost("heads", lambda arch: sum(arch.num_heads))(uniform(64, 3, 4, 2))
    12.0
    """

    name: str
    function: Callable[[Architecture], float]
    identity: str = ""
    scale: ClassVar[None] = None

    def __call__(self, architecture: Architecture) -> float:
        """Return the cost of one architecture.

        Raises:
            BudgetError: The function raises, or does not return a finite number.
        """
        try:
            value = self.function(architecture)
        except Exception as error:
            reason = " ".join(str(error).split())
            raise BudgetError(
                f"cost {self.name!r} of {architecture} failed: {type(error).__name__}: {reason}", architecture
            ) from error
        try:
            cost = float(value)
        except (TypeError, ValueError):
            cost = math.nan
        if not math.isfinite(cost):
            raise BudgetError(f"cost {self.name!r} must be a finite number, got {value!r} of {architecture}", value)
        return cost
