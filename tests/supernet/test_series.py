"""Series: the plain implementation in one dimension, exact slices and costs, and instance normalisation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from nasformer.architecture import Architecture, uniform
from nasformer.cost import Geometry, LatencyTable, Pooling, Series, macs, params
from nasformer.errors import CheckpointError, DataError
from nasformer.fitness.population import walk
from nasformer.fitness.prefix_tree import PrefixTree
from nasformer.latency import measure_blocks, measure_deployed
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.supernet import Supernet, VisionTransformer, load_network, parameter_shapes, to_autoformer
from nasformer.supernet.adapt import adapted
from nasformer.supernet.relative_position import PatchGrid

SETTINGS = settings(max_examples=25, deadline=None)
SIZES: dict[str, Any] = {"embed_dim": choice(8, 12), "depth": choice(1, 2), "head_dim": 4, "num_classes": 5}
LAYERS: dict[str, Any] = {"num_heads": per_layer(0, 1, 2), "mlp_ratio": per_layer(0, 1, 2)}
SERIES = [
    Series(24, 4),
    Series(24, choice(4, 8, 16), stride=4, instance_norm=True),
    Series(26, choice(2, 8), stride=3, channels=2),
    Series(24, choice(4, 6)),
]
POOLINGS: tuple[Pooling, ...] = ("mean", "flatten", "flatten", "cls")
SPACES = [
    SearchSpace("series", series=series, pooling=pooling, max_distance=distance, **SIZES, **LAYERS)
    for series, pooling, distance in zip(SERIES, POOLINGS, (2, 3, None, 7), strict=True)
]
IMAGES = SearchSpace(
    "flat", image_size=8, patch_size=choice(2, 4), in_channels=1, pooling="flatten", max_distance=2, **SIZES, **LAYERS
)


def random_supernet(space: SearchSpace, **options: Any) -> Supernet:
    net, generator = Supernet(space, drop_path=0.0, **options).eval(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return net


NETS = [
    random_supernet(space, weight_sharing=each) for space in (*SPACES, IMAGES) for each in ("entangled", "classical")
]
CASES = st.tuples(st.sampled_from(NETS), st.integers(0, 10_000)).map(
    lambda case: (case[0], case[0].space.sample(1, seed=case[1])[0])
)


def inputs(net: VisionTransformer, batch: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(batch, *net.geometry.input_shape, generator=torch.Generator().manual_seed(seed))


def plain(net: VisionTransformer, series: Tensor) -> Tensor:
    """Compute a network's outputs with e[n, m] of shape (tokens, tokens, head_dim)."""
    w, g = dict(net.named_parameters()), net.geometry
    mean, std = series.mean(2, keepdim=True), (series.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
    x = (series - mean) / std if g.instance_norm else series
    embedding = "patch_embed."
    x = F.conv1d(x, w[f"{embedding}weight"], w[f"{embedding}bias"], stride=g.stride or g.patch_size).transpose(1, 2)
    x = torch.cat([w[f"{embedding}cls_token"].expand(len(x), -1, -1), x], 1) + w[f"{embedding}positions"]
    for index, layer in enumerate(net.architecture.layers):
        block = {name.removeprefix(f"blocks.{index}."): w[name] for name in w if name.startswith(f"blocks.{index}.")}
        if layer.num_heads:
            x = x + plain_attention(block, g, norm(block, "attn_norm", x), layer.num_heads)
        if layer.hidden_dim:
            hidden = F.gelu(F.linear(norm(block, "mlp_norm", x), block["mlp.fc1.weight"], block["mlp.fc1.bias"]))
            x = x + F.linear(hidden, block["mlp.fc2.weight"], block["mlp.fc2.bias"])
    x = x if g.flatten else norm(w, "norm", x)
    pooled = {"mean": x[:, 1:].mean(1), "cls": x[:, 0], "flatten": x[:, 1:].flatten(1)}[net.pooling]
    out = F.linear(pooled, w["head.weight"].flatten(1), w["head.bias"])
    return out * std[:, 0] + mean[:, 0] if g.instance_norm else out


def norm(w: dict[str, Any], name: str, x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], 1e-5)


def plain_attention(w: dict[str, Any], g: Geometry, x: Tensor, heads: int) -> Tensor:
    batch, tokens, _ = x.shape
    bias = w["attn.qkv.bias"].view(3, heads, -1).transpose(0, 1).reshape(-1)
    q, k, v = F.linear(x, w["attn.qkv.weight"], bias).view(batch, tokens, heads, 3, -1).permute(3, 0, 2, 1, 4)
    keys, values = (embedding(w, g, part) for part in (0, 1))
    logits = q @ k.transpose(-2, -1)
    if keys is not None:
        logits = logits + torch.einsum("bhnd,nmd->bhnm", q, keys)
    attention = (logits * g.head_dim**-0.5).softmax(-1)
    out = attention @ v
    if values is not None:
        out = out + torch.einsum("bhnm,nmd->bhnd", attention, values)
    return F.linear(out.transpose(1, 2).reshape(batch, tokens, -1), w["attn.proj.weight"], w["attn.proj.bias"])


def embedding(w: dict[str, Any], g: Geometry, part: int) -> Tensor | None:
    """Return e[n, m] = table[t' - t], clipped, and row 0 where n or m is the cls token."""
    if g.max_distance is None:
        return None
    time = torch.arange(g.patches)
    offset = (time[None, :] - time[:, None]).clamp(-g.max_distance, g.max_distance) + g.max_distance + 1
    table: Tensor = w["attn.relative_positions"][part, 0]
    return table[F.pad(offset, (1, 0, 1, 0))]


@SETTINGS
@given(CASES)
def test_a_subnet_is_its_extracted_network_and_the_plain_one(case: tuple[Supernet, Architecture]) -> None:
    net, member = case
    with torch.inference_mode():
        series = inputs(net)
        subnet, expected = net.extract(member), net(series, member)
        torch.testing.assert_close(subnet(series), expected)
        if net.geometry.axes == 1:
            torch.testing.assert_close(plain(subnet, series), expected, rtol=1e-4, atol=1e-5)


@SETTINGS
@given(CASES)
def test_costs_are_those_that_are_counted(case: tuple[Supernet, Architecture]) -> None:
    net, member = case
    subnet = net.extract(member)
    assert sum(parameter.numel() for parameter in subnet.parameters()) == net.space.params(member)
    assert (params(subnet.geometry, member), macs(subnet.geometry, member)) == (
        net.space.params(member),
        net.space.macs(member),
    )
    shapes = {name: tuple(own.shape) for name, own in subnet.named_parameters()}
    assert parameter_shapes(net.geometry, member) == shapes
    if net.geometry.axes == 1:
        with FlopCounterMode(display=False) as counter:
            plain(subnet, inputs(net, 1))
        assert counter.get_total_flops() == 2 * net.space.macs(member)


@pytest.mark.parametrize("net", NETS, ids=lambda net: f"{net.geometry.input_shape}-{net.pooling}-{net.sharing.name}")
def test_a_population_shares_prefixes_and_gives_the_bits_of_one_by_one(net: Supernet) -> None:
    series = inputs(net)
    with torch.inference_mode():
        for member, outputs in walk(net, series, PrefixTree(net.space.sample(40, seed=3))):
            assert isinstance(outputs, Tensor), outputs
            assert torch.equal(outputs, net(series, member))


@pytest.mark.parametrize("net", NETS[2:4], ids=["entangled", "classical"])
def test_gradients_reach_what_is_active_alone(net: Supernet) -> None:
    for member in net.space.sample(6, seed=1):
        net.zero_grad(set_to_none=True)
        net(inputs(net), member).square().sum().backward()
        touched = {name: own.grad for name, own in net.named_parameters() if own.grad is not None}
        shapes = net.active_shapes(member)
        assert set(touched) == set(shapes)
        for name, gradient in touched.items():
            gradient[tuple(slice(size) for size in shapes[name])] = 0
            assert not gradient.any(), name


def test_outputs_follow_the_level_and_the_scale_of_a_series() -> None:
    net, series = NETS[2], inputs(NETS[2])
    for member in net.space.sample(5, seed=4):
        torch.testing.assert_close(net(3 * series + 70, member), 3 * net(series, member) + 70, rtol=1e-4, atol=1e-3)
    constant = net(torch.full((1, 1, 24), 5.0))
    torch.testing.assert_close(constant, torch.full((1, 5), 5.0), rtol=0, atol=0.1)


def test_statistics_are_exact_in_half_precision() -> None:
    net, series = random_supernet(SPACES[1]), 1000 + inputs(NETS[2])
    member = SPACES[1].smallest
    expected = net(series.bfloat16().float(), member)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(net(series.bfloat16().float(), member), expected, rtol=0.01, atol=0.1)
    found = net.to(torch.bfloat16)(series.bfloat16(), member)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0.1)


def test_each_patch_size_has_an_embedding_and_a_head_of_its_own() -> None:
    net = NETS[2]
    shapes = {name: tuple(own.shape) for name, own in net.named_parameters() if name.startswith(("patch", "head"))}
    assert shapes["patch_embed.8.weight"] == (12, 1, 8)
    assert (shapes["patch_embed.4.positions"], shapes["patch_embed.16.positions"]) == ((1, 7, 12), (1, 4, 12))
    assert (shapes["head.4.weight"], shapes["head.16.weight"], shapes["head.16.bias"]) == ((5, 6, 12), (5, 3, 12), (5,))
    assert NETS[3].get_parameter("head.16.8.weight").shape == (5, 3, 8)


def test_the_gradients_in_one_dimension_are_the_numerical_ones() -> None:
    grid, generator = PatchGrid(4, 2, 4, axes=1).double(), torch.Generator().manual_seed(0)
    qkv, out, tables = (
        torch.randn(size, dtype=torch.float64, generator=generator, requires_grad=True)
        for size in ((2, 5, 2, 3, 4), (2, 5, 2, 4 + grid.extra), (2, 1, 6, 4))
    )
    assert torch.autograd.gradcheck(lambda qkv, tables: grid.widen(qkv, grid(tables)[0]), (qkv, tables))
    assert torch.autograd.gradcheck(lambda out, tables: grid.narrow(out, grid(tables)[1]), (out, tables))


@pytest.mark.parametrize("net", NETS, ids=lambda net: f"{net.geometry.input_shape}-{net.pooling}-{net.sharing.name}")
def test_files_give_the_same_outputs(net: Supernet, tmp_path: Path) -> None:
    series, member = inputs(net), net.space.sample(1, seed=2)[0]
    again = Supernet.load(net.save(tmp_path / "net.safetensors"), net.space)
    assert torch.equal(again(series, member), net(series, member))
    subnet = net.extract(member)
    read = load_network(subnet.save(tmp_path / "subnet.safetensors"))
    assert (read.geometry, read.pooling) == (subnet.geometry, net.pooling)
    assert torch.equal(read(series), subnet(series))


def test_blocks_and_networks_are_measured(tmp_path: Path) -> None:
    space = SPACES[1]
    table, _ = measure_blocks(space, runtime="torch", repeats=1)
    table.save(tmp_path / "t.json")
    assert LatencyTable.load(tmp_path / "t.json") == table
    assert (table.network, len(table.stem)) == (("patch_size",), 6)
    timed = space.with_cost(table.cost())
    assert all(timed.costs(member)["latency_ms"] > 0 for member in timed.feasible(latency_ms=1e6).sample(5))
    options: dict[str, Any] = {"geometry": space.geometry, "runtime": "torch", "repeats": 1}
    assert min(timing.median_ms for timing in measure_deployed(space.sample(2), **options)) > 0


@pytest.mark.parametrize("net", NETS[:8:2], ids=["mean", "flatten", "channels", "cls"])
def test_a_network_gets_a_head_for_other_outputs(net: Supernet) -> None:
    subnet = net.extract(net.space.largest)
    other = adapted(subnet, num_classes=7, seed=3)
    assert other(inputs(net)).shape == (3, 7)
    assert all(torch.equal(own, subnet.get_parameter(n)) for n, own in other.named_parameters() if "head" not in n)
    length = net.geometry.image_size
    assert adapted(subnet, image_size=length).geometry == subnet.geometry
    with pytest.raises(DataError, match=f"a network of series keeps its size {length}, got 48; retrain it"):
        adapted(subnet, image_size=48)


def test_a_flattened_head_keeps_the_size_of_its_images() -> None:
    subnet = NETS[8].extract(IMAGES.largest)
    with pytest.raises(DataError, match=r"a network of all patches \(pooling 'flatten'\) keeps its size 8, got 16"):
        adapted(subnet, image_size=16)
    with pytest.raises(CheckpointError, match="pool 'mean' or 'cls', not pooling 'flatten'"):
        to_autoformer(subnet)


def test_what_is_no_such_series_is_named_and_so_is_the_official_format() -> None:
    net = NETS[0]
    for shape in ((2, 1, 25), (2, 2, 24), (2, 24), (2, 1, 24, 24)):
        with pytest.raises(DataError, match=r"series must be \(batch, 1, 24\), got \(2, "):
            net(torch.zeros(shape))
    with pytest.raises(CheckpointError, match="holds networks of images that pool 'mean' or 'cls', not series"):
        to_autoformer(net)


def test_weights_depend_on_the_seed_alone() -> None:
    first, second = (VisionTransformer(SPACES[0].geometry, uniform(8, 1, 1, 1), seed=seed) for seed in (0, 0))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    bound = 1 / (1 * 4) ** 0.5
    assert 0 < float(first.patch_embed.weight.detach().abs().max()) <= bound
