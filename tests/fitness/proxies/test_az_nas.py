"""az-nas: the three parts of an extracted network, and ranks that no population moves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from nasformer.fitness.proxies.az_nas import AzNasProxy, entropy, trainability
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet


def features(proxy: AzNasProxy, net: Supernet, space: SearchSpace) -> list[Tensor]:
    """Return the tokens before the first layer and after each branch of the smallest architecture."""
    generator = torch.Generator().manual_seed(proxy.seed)
    images = torch.randn(2, *space.geometry.input_shape, generator=generator)
    subnet = net.extract(space.smallest).eval()
    found = [subnet.embed(images, space.smallest)]
    grid = subnet.patch_grid(space.smallest)
    blocks: Any = subnet.blocks
    for block, layer in zip(blocks, space.smallest.layers, strict=True):
        found.append(found[-1] + block.attn(block.attn_norm(found[-1]), layer, grid))
        found.append(found[-1] + block.mlp(block.mlp_norm(found[-1]), layer))
    return found


def test_the_parts_are_those_of_the_extracted_network(space: SearchSpace) -> None:
    proxy = AzNasProxy(space, seed=3)
    first, *after = features(proxy, Supernet(space, drop_path=0.0, seed=3), space)
    expressivity, trainable, generator = 0.0, [], torch.Generator().manual_seed(3)
    for inputs, tokens in zip([first, *after], after, strict=False):
        shares = np.linalg.svd((flat := tokens.detach().flatten(0, 1).double().numpy()) - flat.mean(0))[1] ** 2
        shares /= shares.sum()
        expressivity -= float((shares * np.log(shares + 1e-8)).sum())
        signs = torch.empty_like(tokens).bernoulli_(0.5, generator=generator) * 2 - 1
        (gradient,) = torch.autograd.grad(tokens, inputs, signs, retain_graph=True)
        largest = float(torch.linalg.matrix_norm(gradient.flatten(0, 1).T @ signs.flatten(0, 1) / len(flat), 2))
        trainable.append(2 - largest - 1 / largest)
    expected = [expressivity, np.mean(trainable), space.macs(space.smallest)]
    assert proxy.parts(space.smallest).tolist() == pytest.approx(expected, rel=1e-3)


def test_a_rank_is_that_among_random_members(space: SearchSpace) -> None:
    proxy, members = AzNasProxy(space), space.sample(32, seed=0)
    known = np.array([proxy.parts(each) for each in members])
    for architecture, own in zip(members[:3], known, strict=False):
        ranks = norm.cdf((own - known.mean(axis=0)) / known.std(axis=0))
        assert proxy.score(architecture) == pytest.approx(float(np.log(ranks).sum()), rel=1e-9)


def test_entropy_is_that_of_shares_of_variance() -> None:
    assert entropy(torch.eye(5)) == pytest.approx(math.log(5), rel=1e-5)
    assert entropy(torch.ones(5, 5)) == pytest.approx(0, abs=1e-5)


def test_trainability_is_highest_if_gradients_keep_their_size() -> None:
    assert trainability(torch.eye(3)) == pytest.approx(0, abs=1e-5)
    assert trainability(torch.diag(torch.tensor([0.1, -4.0, 1.0]))) == pytest.approx(2 - 4 - 0.25, rel=1e-5)
