"""prenas: the saliency of the choices of all layers."""

from __future__ import annotations

import pytest

from nasformer.architecture import Architecture
from nasformer.fitness.proxies.prenas import PrenasProxy
from nasformer.space import SearchSpace
from nasformer.supernet.saliency import saliency


def test_it_is_the_sum_over_layers(space: SearchSpace) -> None:
    proxy, tables = PrenasProxy(space, seed=2), saliency(space, 2).tables
    architecture = Architecture(embed_dim=48, num_heads=(4, 2, 3), mlp_ratio=(1, 2, 1))
    heads = tables["num_heads"][1, 0, 2] + tables["num_heads"][1, 2, 1]
    assert proxy.score(architecture) == pytest.approx(heads + tables["mlp_ratio"][1, 1, 1])
    assert proxy.score(space.smallest) == 0 < proxy.score(space.largest)
