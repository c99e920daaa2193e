"""A sliced layer equals its standalone layer, bit for bit; dropping paths keeps their mean."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nasformer.supernet.layers import SlicedLayerNorm, SlicedLinear, SlicedPatchEmbedding, drop_path


def test_a_sliced_linear_is_its_leading_standalone_linear() -> None:
    torch.manual_seed(0)
    sliced = SlicedLinear(12, 20)
    nn.init.normal_(sliced.weight)
    nn.init.normal_(sliced.bias)
    for inputs, outputs in [(12, 20), (7, 20), (12, 3), (5, 9)]:
        alone = nn.Linear(inputs, outputs)
        alone.load_state_dict({"weight": sliced.weight[:outputs, :inputs], "bias": sliced.bias[:outputs]})
        x = torch.randn(4, 6, inputs)
        assert torch.equal(sliced(x, outputs), alone(x))


def test_a_sliced_norm_is_its_leading_standalone_norm() -> None:
    torch.manual_seed(0)
    sliced = SlicedLayerNorm(12)
    nn.init.normal_(sliced.weight)
    alone = nn.LayerNorm(7, eps=1e-5)
    alone.load_state_dict({"weight": sliced.weight[:7], "bias": sliced.bias[:7]})
    x = torch.randn(4, 7)
    assert torch.equal(sliced(x), alone(x))


def test_the_patch_embedding_is_the_convolution_with_stride_of_its_kernel() -> None:
    torch.manual_seed(0)
    embed: Any = SlicedPatchEmbedding(in_channels=3, patch_size=2, patches=9, embed_dim=8)
    for parameter in embed.parameters():
        nn.init.normal_(parameter)
    images = torch.randn(2, 3, 6, 6)
    patches = nn.functional.conv2d(images, embed.weight[:5], embed.bias[:5], stride=2).flatten(2).transpose(1, 2)
    tokens = embed(images, 5)
    torch.testing.assert_close(tokens[:, 1:], patches + embed.positions[:, 1:, :5])
    torch.testing.assert_close(tokens[0, 0], (embed.cls_token + embed.positions[:, :1])[0, 0, :5])


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropping_paths_drops_whole_samples_and_keeps_the_mean(rate: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(10_000, 2, 3)
    dropped = drop_path(x, rate, training=True)
    assert torch.equal(dropped, dropped[:, :1, :1].expand_as(x))
    scatter = (rate / (1 - rate) / len(x)) ** 0.5
    assert float(dropped.mean()) == pytest.approx(1, abs=4 * scatter)
    assert float((dropped == 0).float().mean()) == pytest.approx(rate, abs=4 * scatter)
    assert drop_path(x, rate, training=False) is x
