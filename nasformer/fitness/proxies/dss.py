"""dss: synaptic diversity and saliency, of Zhou et al., "Training-free Transformer Architecture Search", CVPR 2022.

Equation 9. The absolute values of a random network's weights are evaluated on an image of ones; with L the sum of the
outputs, an architecture's score is the synaptic diversity of its attention plus the synaptic saliency of its MLPs::

    sum over attention weights W  of  |dL/dW|_nuclear * |W|_nuclear
  + sum over MLP weights W        of  sum of |dL/dW * W|

All architectures share a random supernet, so the nuclear norm of each distinct slice of its weights is computed once.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call

from nasformer.architecture import Architecture
from nasformer.fitness.proxies._proxy import Proxy, require_weights
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.supernet.model import leading_slice
from nasformer.tasks import Metric

Slice = tuple[str, tuple[int, ...]]
"""A parameter, and the shape of its leading slice."""


class DssProxy(Proxy):
    """The logarithm of DSS on subnets of a random supernet."""

    metric = Metric("dss", "score by DSS", higher_is_better=True)

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        super().__init__(space, seed)
        self._norms: dict[Slice, float] = {}

    def score(self, architecture: Architecture) -> float:
        """Return the logarithm of DSS.

        Raises:
            FitnessError: Every layer is skipped.
        """
        require_weights(architecture)
        own = dict(self._net.named_parameters())
        slices = [each for each in _slices(architecture, self.space.geometry.head_dim) if each[0] in own]
        weights = {name: leading_slice(own[name], shape).detach().requires_grad_() for name, shape in slices}
        total = functional_call(self._net, weights, (self._ones, architecture)).sum()
        gradients = dict(zip(weights, torch.autograd.grad(total, list(weights.values())), strict=True))
        saliency = sum(float((weights[n] * g).detach().abs().sum()) for n, g in gradients.items() if ".mlp." in n)
        return math.log(saliency + self._diversity([each for each in slices if ".attn." in each[0]], gradients))

    def _diversity(self, slices: list[Slice], gradients: dict[str, Tensor]) -> float:
        """Return the sum over slices of the nuclear norms of gradient times weight."""
        for name, shape in slices:
            if (name, shape) not in self._norms:
                self._norms[name, shape] = nuclear_norm(leading_slice(self._net.get_parameter(name), shape))
        return sum(nuclear_norm(gradients[name]) * self._norms[name, shape] for name, shape in slices)

    @cached_property
    def _net(self) -> Supernet:
        net = Supernet(self.space, drop_path=0.0, seed=self.seed).eval()
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.abs_()
        return net.requires_grad_(False)

    @cached_property
    def _ones(self) -> Tensor:
        return torch.ones(1, *self.space.geometry.input_shape)


def nuclear_norm(matrix: Tensor) -> float:
    """Return the nuclear norm of ``(rows, columns)``, from the smaller Gram matrix in float64.

    NumPy's eigensolver is four times as fast as torch's here.
    """
    array = matrix.detach().double().numpy()
    wide = array if array.shape[0] <= array.shape[1] else array.T
    return float(np.sqrt(np.linalg.eigvalsh(wide @ wide.T).clip(min=0)).sum())


def _slices(architecture: Architecture, head_dim: int) -> list[Slice]:
    """Return the slices of the attention's and the MLPs' weights."""
    found, embed_dim = dict[str, tuple[int, ...]](), architecture.embed_dim
    for number, layer in enumerate(architecture.layers):
        inner, hidden, block = layer.num_heads * head_dim, layer.hidden_dim, f"blocks.{number}"
        found |= {f"{block}.attn.qkv.weight": (3 * inner, embed_dim), f"{block}.attn.proj.weight": (embed_dim, inner)}
        found |= {f"{block}.mlp.fc1.weight": (hidden, embed_dim), f"{block}.mlp.fc2.weight": (embed_dim, hidden)}
    return [(name, shape) for name, shape in found.items() if all(shape)]
