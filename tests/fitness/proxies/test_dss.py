"""dss: equation 9 of Zhou et al. on the network that is extracted, not only on its slices."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from nasformer.fitness.proxies.dss import DssProxy, nuclear_norm
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet


def dss(net: nn.Module, ones: torch.Tensor) -> float:
    """The logarithm of the score, in float64, from singular values."""
    net = net.double().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.abs_()
    net.zero_grad()
    net(ones.double()).sum().backward()
    total = 0.0
    for name, weight in net.named_parameters():
        if weight.grad is None:
            continue
        if name.endswith(("attn.qkv.weight", "attn.proj.weight")):
            norms = [torch.linalg.svdvals(matrix.detach()).sum() for matrix in (weight.grad, weight)]
            total += float(norms[0] * norms[1])
        elif name.endswith(("fc1.weight", "fc2.weight")):
            total += float((weight.detach() * weight.grad).abs().sum())
    return math.log(total)


def test_it_is_the_score_of_the_extracted_network(space: SearchSpace) -> None:
    supernet, proxy = Supernet(space, drop_path=0.0, seed=7), DssProxy(space, seed=7)
    for architecture in (space.smallest, *space.sample(3, seed=2), space.largest):
        expected = dss(supernet.extract(architecture), torch.ones(1, 1, 8, 8))
        assert proxy.score(architecture) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("shape", [(3, 5), (40, 8), (64, 64), (1, 1)])
def test_nuclear_norm_is_the_sum_of_singular_values(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert nuclear_norm(matrix) == pytest.approx(float(torch.linalg.svdvals(matrix.double()).sum()), rel=1e-9)
    assert nuclear_norm(torch.ones(shape)) == pytest.approx(math.sqrt(math.prod(shape)), rel=1e-6)
