"""prenas: the saliency of PreNAS (Wang et al., ICML 2023, arXiv 2304.14636), a sum over the layers.

The saliency of the weights that each layer's heads and MLP ratio add to the smallest choice, in a random network
(``supernet/saliency.py``). Depth and embedding dimension score only through their layers.
"""

from __future__ import annotations

from functools import cached_property

from nasformer.architecture import Architecture
from nasformer.fitness.proxies._proxy import Proxy
from nasformer.space import Scores
from nasformer.supernet.saliency import saliency
from nasformer.tasks import Metric


class PrenasProxy(Proxy):
    """The sum of the saliency of the choices of all layers."""

    metric = Metric("prenas", "score by PreNAS", higher_is_better=True, digits=9)

    def score(self, architecture: Architecture) -> float:
        """Return the saliency of an architecture of the space."""
        codec = self.space.codec
        return float(self._scores.evaluate(codec, codec.encode([architecture]))[0])

    @cached_property
    def _scores(self) -> Scores:
        return saliency(self.space, self.seed).check(self.space.codec)
