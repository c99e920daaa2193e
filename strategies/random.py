"""Random search under the budget: the baseline that every strategy must beat.

Li & Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019. Draws are
without replacement, each dimension uniform given the limits; none is wasted on infeasible ones.
"""

from __future__ import annotations

from nasformer.architecture import Architecture
from nasformer.search import BaseStrategy


class Random(BaseStrategy):
    """Feasible architectures at random, each at most once."""

    def propose(self) -> Architecture:
        """Return a random feasible architecture never asked."""
        return self.draw()
