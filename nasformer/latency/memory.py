"""Memory of a network in use: its weights, and its activations for one input."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nasformer.architecture import Architecture
from nasformer.cost import COSTS, FunctionCost, Geometry
from nasformer.space import SearchSpace
from nasformer.supernet.model import VisionTransformer

BYTES = {"fp32": 4, "bf16": 2}


def weight_bytes(net: VisionTransformer, dtype: str = "fp32") -> int:
    """Return the bytes of a network's weights in "fp32" or "bf16", exactly."""
    return BYTES[dtype] * sum(parameter.numel() for parameter in net.parameters())


def peak_activation_bytes(net: VisionTransformer) -> int:
    """Return the measured peak of a forward pass in eager torch: all results that live at once, for one input.

    Scratch memory within an operator is not counted.

    >>> from nasformer.architecture import uniform
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


def memory_cost(space: SearchSpace, dtype: str = "fp32") -> FunctionCost:
    """Return ``memory`` as a cost: bytes of the weights, and an upper estimate of the activations for one input.

    >>> from nasformer.space import load_space
    >>> space = load_space("digits")
    >>> small = space.with_cost(memory_cost(space)).feasible(memory=300e3)
    >>> all(4 * space.params(each) < 300e3 for each in small.sample(5))
    True
    """

    def memory(architecture: Architecture) -> float:
        values = COSTS["params"](space.geometry, architecture) + _activations(space.geometry, architecture)
        return BYTES[dtype] * values

    return FunctionCost("memory", memory, dtype)


def _activations(geometry: Geometry, architecture: Architecture) -> int:
    """Return the largest number of values that live at once, at most: in the embedding or in a branch."""
    g = geometry.of(architecture)
    stream, positions = g.tokens * architecture.embed_dim, 0 if g.max_distance is None else 4 * g.axes * g.grid + 16
    stages = [2 * g.patches * g.patch_dim + 3 * stream]
    for layer in architecture.layers:
        head = 8 * g.head_dim + 4 * positions + 2 * g.tokens  # q, k, v twice, offsets, scores, output
        stages.append(3 * stream + layer.num_heads * g.tokens * head)
        stages.append(3 * stream + (2 + g.variant.gated_mlp) * g.tokens * layer.hidden_dim)
    return max(stages)
