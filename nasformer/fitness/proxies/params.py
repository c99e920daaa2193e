"""params: the number of parameters.

Larger networks tend to be more accurate, and few zero-cost proxies rank better (Abdelfattah et al., "Zero-Cost Proxies
for Lightweight NAS", ICLR 2021; White et al., "A Deeper Look at Zero-Cost Proxies", 2022). It says nothing about the
accuracy of networks of one size: under a budget of parameters the best is the one nearest to it.
"""

from __future__ import annotations

from nasformer.architecture import Architecture
from nasformer.fitness.proxies._proxy import Proxy
from nasformer.tasks import Metric


class ParamsProxy(Proxy):
    """The number of parameters."""

    metric = Metric("params", "score by parameters", higher_is_better=True, digits=0)

    def score(self, architecture: Architecture) -> float:
        """Return the number of parameters."""
        return float(self.space.params(architecture))
