"""Memory: exact weights, and activations that are measured and estimated from above."""

from __future__ import annotations

import pytest
import torch

from nasformer.latency.memory import memory_cost, peak_activation_bytes, weight_bytes
from nasformer.space import load_space
from nasformer.supernet import VisionTransformer


@pytest.mark.parametrize("name", ["digits", "fashion-mnist", "cifar10"])
def test_the_cost_is_the_weights_and_the_peak_of_the_largest_layers(name: str) -> None:
    space = load_space(name)
    cost = memory_cost(space)
    for architecture in [*space.sample(5, seed=2), space.smallest, space.largest]:
        net = VisionTransformer(space.geometry, architecture).train()
        weights, peak = weight_bytes(net), peak_activation_bytes(net)
        assert weights == 4 * space.params(architecture)
        most = space.largest.replace(embed_dim=architecture.embed_dim, **dict(architecture.network))
        assert cost(space.geometry, architecture) == weights + peak_activation_bytes(
            VisionTransformer(space.geometry, most)
        )
        assert weights + peak <= cost(space.geometry, architecture), (architecture, peak)
        assert net.training
    assert weight_bytes(net, "bf16") == 2 * space.params(architecture)
    assert peak_activation_bytes(net.to(torch.bfloat16)) < peak
