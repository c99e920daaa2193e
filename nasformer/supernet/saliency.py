"""saliency: PreNAS's zero-cost scores of heads and MLP ratios (arXiv 2304.14636), without data or training.

A random network runs on random images, and the sum of its outputs is differentiated. The saliency of a weight is
``|w g| / (sum |w| sum |g|)``, with the sums over its matrix; that of a choice is the sum over the weights of qkv, or of
fc1 and fc2, that it has and the smallest choice of its layer lacks.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from nasformer.space import Scores, SearchSpace
from nasformer.supernet import Supernet

_PARTS = ("attn.qkv", "mlp.fc1", "mlp.fc2")
_IMAGES = 4


@lru_cache(maxsize=64)
def saliency(space: SearchSpace, seed: int = 0) -> Scores:
    """Return the scores of heads and MLP ratios by embedding dimension and layer, for the seed of a random network.

    They are computed in double precision on the CPU, so that every process and a resumed training get the same.
    """
    net, g = Supernet(space, drop_path=0.0, seed=seed).double().eval(), space.geometry
    images = torch.randn(_IMAGES, *g.input_shape, generator=torch.Generator().manual_seed(seed)).double()
    names = [f"blocks.{layer}.{part}.weight" for layer in range(space.codec.max_depth) for part in _PARTS]
    weights = [net.get_parameter(name) for name in names]
    gradients = torch.autograd.grad(net(images).sum(), weights)
    sums = {name: _sums(*each) for name, *each in zip(names, weights, gradients, strict=True)}
    values = space.codec.values
    embeds, heads, ratios = (values[name] for name in ("embed_dim", "num_heads", "mlp_ratio"))
    shape = len(embeds), space.codec.max_depth
    tables = {"num_heads": np.zeros((*shape, len(heads))), "mlp_ratio": np.zeros((*shape, len(ratios)))}
    for place, embed in enumerate(int(embed) for embed in embeds):
        for layer in range(space.codec.max_depth):
            qkv, fc1, fc2 = (sums[f"blocks.{layer}.{part}.weight"] for part in _PARTS)
            hidden = [int(embed * ratio) for ratio in ratios]
            tables["num_heads"][place, layer] = [float(qkv[int(3 * g.head_dim * each), embed]) for each in heads]
            tables["mlp_ratio"][place, layer] = [float(fc1[each, embed] + fc2[embed, each]) for each in hidden]
    return Scores({name: table - table[..., :1] for name, table in tables.items()})


def _sums(weight: Tensor, gradient: Tensor) -> Tensor:
    """Return the saliency of each leading part of a matrix, ``(rows + 1, columns + 1)``."""
    weight = weight.detach()
    each = (weight * gradient).abs() / (weight.abs().sum() * gradient.abs().sum())
    return torch.nn.functional.pad(each.cumsum(0).cumsum(1), (1, 0, 1, 0))
