"""Properties of random networks: the plain implementation's outputs, exact slices, exact costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from nasformer.architecture import Architecture
from nasformer.cost.closed_form import macs, params
from nasformer.cost.geometry import Geometry
from nasformer.errors import ArchitectureError, DataError
from nasformer.supernet import VisionTransformer, parameter_shapes

Plain = Callable[..., torch.Tensor]
SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def networks(draw: st.DrawFn) -> tuple[VisionTransformer, Architecture, torch.Tensor]:
    """A network, an architecture that fits in it, and images."""
    patch, grid = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    geometry = Geometry(
        image_size=patch * grid,
        patch_size=patch,
        in_channels=draw(st.integers(1, 4)),
        num_classes=draw(st.integers(2, 7)),
        head_dim=draw(st.sampled_from([4, 5, 8, 12])),
        max_distance=draw(st.none() | st.integers(1, 6)),
    )
    depth, embed_dim = draw(st.integers(1, 3)), draw(st.integers(1, 20))
    heads = tuple(draw(st.integers(1, 3)) for _ in range(depth))
    ratios = tuple(draw(st.sampled_from([1.0, 1.5, 2.0, 3.5])) for _ in range(depth))
    small = Architecture(embed_dim, heads, ratios)
    more = draw(st.integers(0, 2))  # heads, ratio and layers that the subnet does without
    large = Architecture(
        embed_dim + draw(st.integers(0, 8)),
        tuple(h + more for h in heads) + (1,) * more,
        tuple(r + more for r in ratios) + (1.0,) * more,
    )
    net = VisionTransformer(
        geometry,
        large,
        pooling=draw(st.sampled_from(["mean", "cls"])),
        qkv_bias=draw(st.sampled_from(["leading", "interleaved"])),
    )
    generator = torch.Generator().manual_seed(draw(st.integers(0, 9)))
    with torch.no_grad():
        for parameter in net.parameters():  # larger than initial weights, and no zeros, so that every term counts
            parameter.normal_(std=0.3, generator=generator)
    size = geometry.image_size
    return net, small, torch.randn(3, geometry.in_channels, size, size, generator=generator)


@SETTINGS
@given(networks())
def test_any_subnet_computes_what_the_plain_implementation_does(
    plain: Plain, case: tuple[VisionTransformer, Architecture, torch.Tensor]
) -> None:
    net, small, images = case
    for architecture in (small, net.architecture):
        expected = plain(net, images, architecture)
        torch.testing.assert_close(net(images, architecture), expected, rtol=2e-4, atol=2e-5)


@SETTINGS
@given(networks())
def test_a_slice_is_its_extracted_network_bit_for_bit(
    case: tuple[VisionTransformer, Architecture, torch.Tensor],
) -> None:
    net, small, images = case
    subnet = net.extract(small)
    assert torch.equal(subnet(images), net(images, small))
    assert subnet.architecture == small
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    assert any(parameter.abs().sum() > 0 for parameter in subnet.parameters())


@SETTINGS
@given(networks())
def test_parameters_and_macs_are_the_closed_forms(
    plain: Plain, case: tuple[VisionTransformer, Architecture, torch.Tensor]
) -> None:
    net, small, images = case
    subnet = net.extract(small)
    assert sum(p.numel() for p in subnet.parameters()) == params(net.geometry, small)
    assert parameter_shapes(net.geometry, small) == {n: tuple(p.shape) for n, p in subnet.named_parameters()}
    with FlopCounterMode(display=False) as counter:
        plain(net, images[:1], small)
    assert counter.get_total_flops() == 2 * macs(net.geometry, small)


@SETTINGS
@given(networks())
def test_gradients_equal_the_plain_ones_and_reach_the_slices_alone(
    plain: Plain, case: tuple[VisionTransformer, Architecture, torch.Tensor]
) -> None:
    net, small, images = case
    subnet = net.extract(small)
    net(images, small).square().sum().backward()
    subnet(images).square().sum().backward()
    shapes = parameter_shapes(net.geometry, small)
    for name, parameter in net.named_parameters():
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
        if name in shapes:
            inside = gradient[tuple(slice(n) for n in shapes[name])]
            torch.testing.assert_close(inside, subnet.get_parameter(name).grad)
            inside.zero_()
        assert not gradient.any(), name


def test_gradients_of_positions_equal_the_plain_implementation(plain: Plain, space: Any) -> None:
    net = VisionTransformer(space.geometry, space.supernet_architecture)
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.2, generator=torch.Generator().manual_seed(parameter.numel()))
    table = net.get_parameter("blocks.1.attn.relative_positions")
    net(images).square().sum().backward()
    assert table.grad is not None
    step = 1e-2
    for place in [(0, 0, 0, 1), (0, 1, 3, 2), (1, 0, 0, 0), (1, 1, 5, 7), (1, 0, 2, 4)]:
        sums = []
        for sign in (1, -1):
            with torch.no_grad():
                table[place] += sign * step
                sums.append(plain(net, images, net.architecture).double().square().sum())
                table[place] -= sign * step
        assert float(table.grad[place]) == pytest.approx(float(sums[0] - sums[1]) / (2 * step), rel=2e-2, abs=1e-3)


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        (Architecture(32, (1,), (1,)), "embed_dim is 32, but this network has 24"),
        (Architecture(16, (1,) * 4, (1,) * 4), "depth is 4, but this network has 3"),
        (Architecture(16, (1, 5), (1, 1)), "num_heads of layer 1 is 5, but this network has 3"),
        (Architecture(16, (1, 1), (4, 1)), "MLP width of layer 0 is 64, but this network has 48"),
    ],
)
def test_a_larger_architecture_is_refused_by_name(space: Any, architecture: Architecture, words: str) -> None:
    net = VisionTransformer(space.geometry, space.supernet_architecture, seed=None)
    with pytest.raises(ArchitectureError, match=words):
        net(torch.zeros(1, 1, 8, 8), architecture)
    with pytest.raises(ArchitectureError, match=words):
        net.extract(architecture)


def test_images_of_another_shape_are_refused(space: Any) -> None:
    net = VisionTransformer(space.geometry, space.supernet_architecture, seed=None)
    with pytest.raises(DataError, match=r"images must be \(batch, 1, 8, 8\), got \(2, 3, 8, 8\)"):
        net(torch.zeros(2, 3, 8, 8))


def test_initial_weights_follow_the_seed_and_leave_global_state_alone(space: Any) -> None:
    state = torch.random.get_rng_state()
    first, second, other = (
        VisionTransformer(space.geometry, space.supernet_architecture, seed=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.head.weight, other.head.weight)
    weights = first.get_parameter("blocks.0.mlp.fc1.weight").detach()
    assert float(weights.std()) == pytest.approx(0.02, rel=0.1)
    assert not first.head.bias.any()


def test_drop_path_acts_in_training_by_depth_of_the_supernet(space: Any) -> None:
    net = VisionTransformer(space.geometry, space.supernet_architecture, drop_path=0.5)
    assert net.drop_path_rates == (0.0, 0.25, 0.5)
    images, shallow = torch.randn(16, 1, 8, 8), Architecture(16, (1,), (1,))
    assert torch.equal(net.eval()(images), net(images))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        assert not torch.equal(net.train()(images), net(images))
        assert torch.equal(net(images, shallow), net(images, shallow))  # the first layer's rate is 0
    assert net.extract(Architecture(16, (1, 1), (1, 1))).drop_path_rates == (0.0, 0.25)
