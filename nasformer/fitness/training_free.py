"""TrainingFreeFitness: DSS, a zero-cost proxy for vision transformers.

Zhou et al., "Training-free Transformer Architecture Search", CVPR 2022, equation 9. The absolute values of a random
network's weights are evaluated on an image of ones; with L the sum of the outputs, an architecture's score is the
synaptic diversity of its attention plus the synaptic saliency of its MLPs::

    sum over attention weights W  of  |dL/dW|_nuclear * |W|_nuclear
  + sum over MLP weights W        of  sum of |dL/dW * W|

It is the fallback without trained weights; it ranks far worse than inherited accuracy. On two CPU threads
``benchmarks/training_free.py`` measured 0.6, 1.2 and 2.0 seconds per evaluation for AutoFormer-T, S and B, and about 2
seconds for the first.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasformer.architecture import Architecture
from nasformer.errors import FitnessError
from nasformer.search import Evaluation
from nasformer.space import FeasibleSet, SearchSpace
from nasformer.supernet import Supernet, parameter_shapes
from nasformer.supernet.model import leading_slice


class TrainingFreeFitness:
    """The logarithm of DSS on subnets of a random supernet.

    Args:
        space: The space; all architectures share one supernet.
        seed: Random seed of the weights.
    """

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        self.space, self.seed = space, seed
        self._net = Supernet(space, drop_path=0.0, seed=seed).eval()
        with torch.no_grad():
            for parameter in self._net.parameters():
                parameter.abs_()
        self._ones = torch.ones(1, *space.geometry.input_shape)
        self._norms: dict[tuple[str, tuple[int, ...]], float] = {}

    def evaluate(self, architectures: Sequence[Architecture]) -> Iterator[Evaluation]:
        """Yield the score of each architecture."""
        for architecture in architectures:
            skipped = not any(architecture.num_heads) and not any(architecture.hidden_dims)
            error = "every layer is skipped: there is no weight to score" if skipped else None
            yield Evaluation(architecture, None if skipped else self._score(architecture), error)

    def check(self, feasible: FeasibleSet) -> None:
        """Check that the random supernet belongs to the searched space.

        Raises:
            FitnessError: Another space.
        """
        if feasible.space.fingerprint != self.space.fingerprint:
            raise FitnessError(f"this score was made for space {self.space.name!r}, not {feasible.space.name!r}", self)

    def describe(self) -> dict[str, Any]:
        """Return the proxy's name and the seed of the random weights."""
        return {"kind": "training-free", "proxy": "dss", "seed": self.seed}

    def _score(self, architecture: Architecture) -> float:
        parameters = dict(self._net.named_parameters())
        shapes = parameter_shapes(self.space.geometry, architecture)
        weights = {name: parameters[name] for name in shapes if _kind(name)}
        loss = self._net(self._ones, architecture).sum()
        gradients = torch.autograd.grad(loss, list(weights.values()))
        total = 0.0
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            shape = shapes[name]
            own, slope = leading_slice(weight.detach(), shape), leading_slice(gradient, shape)
            if _kind(name) == "mlp":
                total += float((own * slope).abs().sum())
            else:
                total += nuclear_norm(slope) * self._nuclear(name, own)
        return math.log(total)

    def _nuclear(self, name: str, weight: Tensor) -> float:
        key = name, tuple(weight.shape)
        if key not in self._norms:
            self._norms[key] = nuclear_norm(weight)
        return self._norms[key]


def nuclear_norm(matrix: Tensor) -> float:
    """Return the nuclear norm of ``(rows, columns)``, from the smaller Gram matrix in float64.

    NumPy's eigensolver is four times as fast as torch's here.
    """
    array = matrix.detach().double().numpy()
    wide = array if array.shape[0] <= array.shape[1] else array.T
    return float(np.sqrt(np.linalg.eigvalsh(wide @ wide.T).clip(min=0)).sum())


def _kind(name: str) -> str | None:
    if name.endswith(("attn.qkv.weight", "attn.proj.weight")):
        return "attention"
    return "mlp" if name.endswith(("fc1.weight", "fc2.weight")) else None
