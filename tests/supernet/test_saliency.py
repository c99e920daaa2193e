"""Saliency: that of PreNAS, on the weights themselves."""

from __future__ import annotations

import pytest
import torch

from nasformer.space import load_space
from nasformer.supernet import Supernet
from nasformer.supernet.saliency import saliency


def test_saliency_is_that_of_the_weights_that_a_choice_adds() -> None:
    space = load_space("digits")
    scores = saliency(space)
    net = Supernet(space, drop_path=0.0, seed=0).double().eval()
    images = torch.randn(4, *space.geometry.input_shape, generator=torch.Generator().manual_seed(0)).double()
    net(images).sum().backward()

    def added(name: str, small: tuple[int, int], large: tuple[int, int]) -> float:
        weight = net.get_parameter(f"blocks.1.{name}.weight").detach()
        gradient = net.get_parameter(f"blocks.1.{name}.weight").grad
        assert gradient is not None
        each = (weight * gradient).abs() / (weight.abs().sum() * gradient.abs().sum())
        return float(each[: large[0], : large[1]].sum() - each[: small[0], : small[1]].sum())

    heads, ratios = scores.tables["num_heads"], scores.tables["mlp_ratio"]
    assert heads[..., 0].tolist() == ratios[..., 0].tolist() == [[0.0] * 4] * 3
    assert heads[1, 1, 2] == pytest.approx(added("attn.qkv", (3 * 16 * 2, 48), (3 * 16 * 4, 48)))
    hidden = added("mlp.fc1", (48, 48), (96, 48)) + added("mlp.fc2", (48, 48), (48, 96))
    assert ratios[1, 1, 1] == pytest.approx(hidden)
