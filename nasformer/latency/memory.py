"""Memory of a network in use: its weights, and its activations for one input."""

from __future__ import annotations

import weakref
from collections import Counter
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nasformer.architecture import uniform
from nasformer.cost import COSTS, AdditiveCost, Network
from nasformer.space import SearchSpace
from nasformer.supernet.model import VisionTransformer

BYTES = {"fp32": 4, "bf16": 2}


def weight_bytes(net: VisionTransformer, dtype: str = "fp32") -> int:
    """Return the bytes of a network's weights in "fp32" or "bf16", exactly."""
    return BYTES[dtype] * sum(parameter.numel() for parameter in net.parameters())


def peak_activation_bytes(net: VisionTransformer) -> int:
    """Return the measured peak of a forward pass in eager torch: all results that live at once, for one input.

    Scratch memory within an operator is not counted.

    >>> from nasformer.cost import Geometry
    >>> geometry = Geometry(image_size=8, patch_size=2, in_channels=1, num_classes=10, head_dim=16, max_distance=None)
    >>> peak_activation_bytes(VisionTransformer(geometry, uniform(32, 2, 2, 2))) > 4 * 2 * 17 * 32
    True
    """
    parameter = next(net.parameters())
    inputs = torch.zeros(1, *net.geometry.input_shape, device=parameter.device, dtype=parameter.dtype)
    training, tracker = net.training, _LiveResults({*map(_place, (*net.parameters(), *net.buffers(), inputs))})
    with torch.no_grad(), tracker:
        net.eval()(inputs)
    net.train(training)
    return tracker.peak


class _LiveResults(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all storages that results of operators hold."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.known, self.holders, self.now, self.peak = known, Counter[int](), 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        results = func(*args, **(kwargs or {}))
        for each in tree_leaves(results):
            if isinstance(each, Tensor) and (place := _place(each)) not in self.known:
                size = each.untyped_storage().nbytes()
                self.now += size if not self.holders[place] else 0
                self.holders[place] += 1
                weakref.finalize(each, self._release, place, size)
        self.peak = max(self.peak, self.now)
        return results

    def _release(self, place: int, size: int) -> None:
        self.holders[place] -= 1
        self.now -= size if not self.holders[place] else 0


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def memory_cost(space: SearchSpace, dtype: str = "fp32") -> AdditiveCost:
    """Return ``memory`` as a cost: bytes of the weights, and of the activations for one input.

    The peak of the activations is measured (``peak_activation_bytes``) with the largest layers of the space, so that
    no network of it needs more.

    >>> from nasformer.space import load_space
    >>> space = load_space("digits")
    >>> small = space.with_cost(memory_cost(space)).feasible(memory=300e3)
    >>> all(4 * space.params(each) < 300e3 for each in small.sample(5))
    True
    """
    size, params, layer = BYTES[dtype], COSTS["params"], space.largest.layers[0]

    @cache
    def peak(network: Network) -> int:
        sizes = {"num_heads": layer.num_heads, "mlp_ratio": layer.mlp_ratio, **dict(layer.further)}
        largest = uniform(network.embed_dim, 1, **sizes, **dict(network.further))
        return peak_activation_bytes(VisionTransformer(space.geometry, largest))

    return AdditiveCost(
        "memory",
        lambda network: size * params.stem_count(network) + size * peak(network) // BYTES["fp32"],
        lambda network, layer: size * params.layer_count(network, layer),
        identity=dtype,
    )
