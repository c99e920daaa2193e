"""Random search under the budget: the baseline that every strategy must beat.

Li & Talwalkar, "Random Search and Reproducibility for Neural Architecture Search", UAI 2019. Samples are without
replacement, uniform per dimension conditioned on the limits.
"""

from __future__ import annotations

from nasformer.architecture import Architecture
from nasformer.search import BaseStrategy


class Random(BaseStrategy):
    """Random feasible architectures, without replacement."""

    saved = ()

    def propose(self) -> Architecture:
        """Return a random feasible architecture not asked before."""
        return self.draw()
