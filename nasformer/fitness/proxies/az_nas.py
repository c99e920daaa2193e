"""az-nas: AZ-NAS for vision transformers (Lee and Ham, CVPR 2024, arXiv 2403.19232).

A random network runs on random images. The features x are the tokens after each branch, attention or MLP:

- expressivity: the sum over features of the entropy of the eigenvalues of their covariance, normalised to sum to 1;
- trainability: the mean over branches of 2 - s - 1/s, with s the largest singular value of g_in^T g_out / tokens, where
  g_out are random signs and g_in the gradient that the branch returns for them;
- complexity: MACs.

The paper adds the logarithms of their ranks in the population of a search, which no single architecture has. Here a
rank is that among 32 random members of the space, taken as normal: log Phi((value - mean) / deviation). So a score
depends on space and seed alone, and grows beyond the sample.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigvalsh
from scipy.special import log_ndtr
from torch import Tensor

from nasformer.architecture import Architecture
from nasformer.fitness.proxies._proxy import Proxy, require_weights
from nasformer.supernet import Supernet
from nasformer.supernet.block import Block
from nasformer.tasks import Metric

_IMAGES, _MEMBERS = 2, 32
Floats = NDArray[np.float64]


class AzNasProxy(Proxy):
    """The sum of the logarithms of the ranks of expressivity, trainability and complexity."""

    metric = Metric("az-nas", "score by AZ-NAS", higher_is_better=True)

    def score(self, architecture: Architecture) -> float:
        """Return the aggregated score, 0 at most.

        Raises:
            FitnessError: Every layer is skipped.
        """
        mean, deviation = self._reference
        return float(log_ndtr((self.parts(architecture) - mean) / deviation).sum())

    def parts(self, architecture: Architecture) -> Floats:
        """Return expressivity, trainability and complexity, ``(3,)``.

        Raises:
            FitnessError: Every layer is skipped.
        """
        require_weights(architecture)
        covariances, jacobians = self._run(architecture)
        expressivity, trainable = sum(map(entropy, covariances)), np.mean([trainability(each) for each in jacobians])
        return np.array([expressivity, trainable, self.space.macs(architecture)])

    def _run(self, architecture: Architecture) -> tuple[list[Tensor], list[Tensor]]:
        """Return the features' covariance and g_in^T g_out / tokens of each branch, ``(embed_dim, embed_dim)`` each."""
        net, generator = self._net, torch.Generator().manual_seed(self.seed)
        grid, covariances, jacobians = net.patch_grid(architecture), list[Tensor](), list[Tensor]()
        with torch.no_grad():
            x = net.embed(self._images, architecture)
        for block, layer in zip(net.blocks, architecture.layers, strict=False):
            for branch in (replace(layer, hidden_dim=0), replace(layer, num_heads=0)):
                if not (branch.num_heads or branch.hidden_dim):
                    continue
                inputs = x.detach().requires_grad_()
                x = net.run_block(cast(Block, block), inputs, branch, grid)
                signs = torch.empty_like(x).bernoulli_(0.5, generator=generator).mul_(2).sub_(1)
                (gradient,) = torch.autograd.grad(x, inputs, signs)
                tokens = x.detach().flatten(0, 1)
                jacobians.append(gradient.flatten(0, 1).T @ signs.flatten(0, 1) / len(tokens))
                covariances.append(tokens.T.cov(correction=0))
        return covariances, jacobians

    @cached_property
    def _reference(self) -> tuple[Floats, Floats]:
        """The mean and the standard deviation of the parts over random members, ``(3,)`` each."""
        members = self.space.sample(_MEMBERS, seed=self.seed)
        parts = np.array([self.parts(each) for each in members if any(each.num_heads) or any(each.hidden_dims)])
        deviation = parts.std(axis=0)
        return parts.mean(axis=0), np.where(deviation > 0, deviation, 1.0)

    @cached_property
    def _net(self) -> Supernet:
        return Supernet(self.space, drop_path=0.0, seed=self.seed).eval().requires_grad_(False)

    @cached_property
    def _images(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(_IMAGES, *self.space.geometry.input_shape, generator=generator)


def entropy(covariance: Tensor) -> float:
    """Return the entropy of the eigenvalues of ``(embed_dim, embed_dim)``, as shares of their sum."""
    values = eigvalsh(covariance.numpy(), check_finite=False).astype(float).clip(min=0)
    shares = values / values.sum()
    return float(-(shares * np.log(shares + 1e-8)).sum())


def trainability(jacobian: Tensor) -> float:
    """Return 2 - s - 1/s of the largest singular value s of ``(embed_dim, embed_dim)``; 0 at most, at s = 1."""
    array, last = jacobian.numpy(), len(jacobian) - 1
    (square,) = eigvalsh(array.T @ array, subset_by_index=[last, last], check_finite=False)
    largest = float(np.sqrt(max(square, 0.0)))
    return 2 - largest - 1 / (largest + 1e-6)
