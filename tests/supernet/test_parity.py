"""The same numbers as the official code, on its own checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch.nn import functional as F

from nasformer.cost.closed_form import params
from nasformer.supernet import VisionTransformer, from_autoformer, read_autoformer, to_autoformer

if TYPE_CHECKING:
    Reference = Any


@pytest.fixture
def net(official: Reference) -> VisionTransformer:
    assert official.facts["global_pool"]
    net = VisionTransformer(official.geometry, official.maximum, pooling="mean", seed=None)
    from_autoformer(net, read_autoformer(official.path))
    return net


def test_logits_agree_for_every_config(official: Reference, net: VisionTransformer) -> None:
    with torch.inference_mode():
        for architecture, expected in zip(official.configs, official.logits, strict=True):
            error = (net(official.images, architecture) - expected).abs().max() / expected.abs().max()
            assert error < 1e-5, architecture


def test_loss_and_every_gradient_norm_agree(official: Reference, net: VisionTransformer) -> None:
    net.train()
    loss = F.cross_entropy(net(official.images, official.configs[0]), official.labels)
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(official.facts["loss_config0"], rel=1e-4)
    gradients = VisionTransformer(official.geometry, official.maximum, seed=None)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            gradients.get_parameter(name).copy_(torch.zeros(()) if parameter.grad is None else parameter.grad)
    ours = {name: float(gradient.norm()) for name, gradient in to_autoformer(gradients).items()}
    theirs = official.facts["grad_norms_config0"]
    assert ours == pytest.approx({name: norm or 0.0 for name, norm in theirs.items()}, rel=1e-4, abs=1e-8)


def test_parameter_counts_are_the_official_ones(official: Reference, net: VisionTransformer) -> None:
    counts = [sum(p.numel() for p in net.extract(a).parameters()) for a in official.configs]
    assert counts == official.facts["params"]
    assert counts == [params(official.geometry, a) for a in official.configs]


def test_exported_weights_are_the_official_ones(official: Reference, net: VisionTransformer) -> None:
    theirs = read_autoformer(official.path)
    exported = to_autoformer(net)
    assert exported.keys() == theirs.keys()
    assert all(torch.equal(exported[name], theirs[name]) for name in theirs)
