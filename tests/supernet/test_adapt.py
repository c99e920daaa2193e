"""Other classes and other resolutions: what is kept is kept exactly, what is new begins where clipping left off."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nasformer.architecture import uniform
from nasformer.cost import Geometry
from nasformer.cost import params as params_of
from nasformer.errors import DataError
from nasformer.supernet import VisionTransformer, adapted


def network(image_size: int, max_distance: int | None, *, classes: int = 5) -> VisionTransformer:
    geometry = Geometry(image_size, 2, 3, classes, 8, max_distance)
    net = VisionTransformer(geometry, uniform(16, 2, 2, 2), drop_path=0.2, seed=1).eval()
    with torch.no_grad():
        for number, parameter in enumerate(net.parameters()):
            parameter.normal_(std=0.3, generator=torch.Generator().manual_seed(number))
    return net


def images(size: int) -> Tensor:
    return torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_what_fits_is_copied_bit_for_bit() -> None:
    net = network(8, 3)
    same = adapted(net)
    assert torch.equal(same(images(8)), net(images(8)))
    assert same.drop_path_rates == net.drop_path_rates
    with torch.no_grad():
        next(same.parameters()).add_(1)
    assert not torch.equal(same(images(8)), net(images(8))), "a copy of its own"


def test_a_new_head_is_the_only_change_where_classes_differ() -> None:
    net = network(8, 3)
    other, again, third = (adapted(net, num_classes=7, seed=seed) for seed in (4, 4, 5))
    assert other(images(8)).shape == (3, 7)
    assert torch.equal(other.head.weight, again.head.weight)
    assert not torch.equal(other.head.weight, third.head.weight)
    assert float(other.head.weight.detach().std()) == pytest.approx(0.02, rel=0.3)
    assert torch.equal(other.forward_features(images(8)), net.forward_features(images(8)))


@pytest.mark.parametrize("max_distance", [3, 5])
def test_a_larger_grid_begins_as_a_clipped_one(max_distance: int) -> None:
    """The extended tables give what the old ones give where every offset beyond the furthest seen is clipped to it."""
    net, seen = network(8, max_distance), 3
    large = adapted(net, image_size=16)
    assert (large.geometry.grid, large.geometry.max_distance) == (8, 7)
    clipped = VisionTransformer(Geometry(16, 2, 3, 5, 8, seen), net.architecture, seed=None)
    middle = max_distance + 1
    weights = large.state_dict()
    for name in weights:
        if name.endswith("relative_positions"):
            old = net.state_dict()[name]
            weights[name] = torch.cat((old[:, :, :1], old[:, :, middle - seen : middle + seen + 1]), dim=2)
    clipped.load_state_dict(weights)
    torch.testing.assert_close(large(images(16)), clipped.eval()(images(16)))


def test_a_network_that_clips_by_design_goes_on_to() -> None:
    net = network(16, 2)
    large = adapted(net, image_size=24)
    assert large.geometry.max_distance == 2
    own, other = net.state_dict(), large.state_dict()
    assert all(torch.equal(own[name], other[name]) for name in own if "relative" in name)


def test_positions_are_resampled_and_the_cls_token_is_not() -> None:
    net = network(8, None)
    with torch.no_grad():  # a ramp: its resampled version is one too, away from the border
        net.patch_embed.positions[0, 1:] = torch.arange(4.0).repeat_interleave(4)[:, None]
    large = adapted(net, image_size=16)
    positions = large.patch_embed.positions[0]
    assert torch.equal(positions[0], net.patch_embed.positions[0, 0])
    rows = positions[1:].view(8, 8, 16)
    torch.testing.assert_close(rows, rows[:, :1, :1].expand_as(rows), atol=1e-5, rtol=0)
    assert float((rows[1:] - rows[:-1]).detach().min()) > 0
    assert float(rows.detach().mean()) == pytest.approx(1.5, abs=1e-4)


def test_a_smaller_image_and_the_paper_sizes() -> None:
    small = adapted(network(16, 7), image_size=8)
    assert small(images(8)).shape == (3, 5)
    net = VisionTransformer(Geometry(), uniform(64, 1, 1, 1))
    large = adapted(net, image_size=384, num_classes=37)
    assert (large.geometry.tokens, large.geometry.max_distance) == (577, 23)
    assert large.eval()(torch.zeros(1, 3, 384, 384)).shape == (1, 37)
    assert sum(p.numel() for p in large.parameters()) == params_of(large.geometry, large.architecture)


def test_a_size_that_patches_do_not_fit_is_named() -> None:
    with pytest.raises(DataError, match="patches of 2 pixels do not fit into images of 9"):
        adapted(network(8, 3), image_size=9)
