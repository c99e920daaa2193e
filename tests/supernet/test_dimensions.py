"""Skipped branches, patch sizes and resolutions: exact in costs, slices, training, shared prefixes and files."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers.pos_embed import resample_abs_pos_embed
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nasformer import dimension
from nasformer.architecture import Architecture, Layer, uniform
from nasformer.cost import LatencyTable
from nasformer.data import Dataset, load_dataset
from nasformer.dimension import Kind, register
from nasformer.errors import ArchitectureError, CheckpointError, DataError
from nasformer.fitness import InheritedFitness
from nasformer.fitness.population import walk
from nasformer.fitness.prefix_tree import PrefixTree
from nasformer.latency import measure_blocks
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.supernet import Supernet, VisionTransformer, load_network, to_autoformer
from nasformer.supernet.attention import SlicedAttention
from nasformer.supernet.model import leading_slice
from nasformer.supernet.relative_position import PatchGrid
from nasformer.training import Recipe, train_supernet
from nasformer.training.sampling import SamplingSchedule, reference_subnets

SPACE = SearchSpace(
    "everything",
    embed_dim=choice(16, 24),
    depth=choice(2, 3),
    num_heads=per_layer(0, 1, 2),
    mlp_ratio=per_layer(0, 1, 2),
    patch_size=choice(2, 4),
    image_size=choice(4, 8),
    head_dim=8,
    in_channels=1,
    num_classes=10,
    max_distance=2,
)
IMAGES = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
MEMBERS = st.integers(0, 10_000).map(lambda seed: SPACE.sample(1, seed=seed)[0])
SHARING = pytest.mark.parametrize("weight_sharing", ["entangled", "classical"])


def random_supernet(space: SearchSpace = SPACE, **options: Any) -> Supernet:
    net, generator = Supernet(space, drop_path=0.0, **options).eval(), torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return net


NETS = {name: random_supernet(weight_sharing=name) for name in ("entangled", "classical")}


@SHARING
@settings(max_examples=40, deadline=None)
@given(MEMBERS)
def test_an_extracted_network_is_the_subnet_and_costs_what_is_said(weight_sharing: str, member: Architecture) -> None:
    net = NETS[weight_sharing]
    with torch.inference_mode():
        subnet, expected = net.extract(member), net(IMAGES, member)
        torch.testing.assert_close(subnet(IMAGES), expected)
        small = F.interpolate(IMAGES, (member.image_size,) * 2, mode="bicubic", antialias=True)
        torch.testing.assert_close(subnet(small), expected)
    assert (subnet.geometry.image_size, subnet.geometry.patch_size) == (member.image_size, member.patch_size)
    assert sum(parameter.numel() for parameter in subnet.parameters()) == SPACE.params(member)
    names = {name for name, _ in subnet.named_parameters()}
    for layer, own in enumerate(member.layers):
        assert any(name.startswith(f"blocks.{layer}.attn") for name in names) == (own.num_heads > 0)
        assert any(name.startswith(f"blocks.{layer}.mlp") for name in names) == (own.hidden_dim > 0)


@settings(max_examples=20, deadline=None)
@given(MEMBERS)
def test_macs_are_those_that_are_counted(member: Architecture) -> None:
    space = SearchSpace.from_dict({**SPACE.to_dict(), "max_distance": None})
    subnet = random_supernet(space).extract(member)
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):  # whose products are counted
        subnet(torch.zeros(1, 1, member.image_size, member.image_size))
    assert counter.get_total_flops() == 2 * space.macs(member)


def test_a_skipped_branch_is_the_identity() -> None:
    net, whole = NETS["entangled"], uniform(24, 3, 2, 2, patch_size=2, image_size=8)
    skipped = whole.replace(num_heads=(2, 0, 2), mlp_ratio=(2, 0, 2))
    shorter = uniform(24, 2, 2, 2, patch_size=2, image_size=8)
    with torch.inference_mode():
        without = net.extract(whole)
        del without.blocks[1]
        without.architecture = shorter
        torch.testing.assert_close(net(IMAGES, skipped), without(IMAGES))
        assert not torch.allclose(net(IMAGES, skipped), net(IMAGES, whole))
    assert SPACE.params(skipped) == SPACE.params(shorter)
    assert SPACE.macs(skipped) == SPACE.macs(shorter)


def test_each_patch_size_has_an_embedding_and_positions_of_its_own() -> None:
    net = NETS["entangled"]
    assert net.get_parameter("patch_embed.2.weight").shape == (24, 1, 2, 2)
    assert net.get_parameter("patch_embed.4.positions").shape == (1, 5, 24)
    tokens = {p: net.embed(IMAGES, uniform(24, 2, 1, 1, patch_size=p, image_size=8)) for p in (2, 4)}
    assert {patch: token.shape for patch, token in tokens.items()} == {2: (3, 17, 24), 4: (3, 5, 24)}


def test_positions_are_resampled_as_timm_does() -> None:
    net, small = NETS["entangled"], uniform(16, 2, 1, 1, patch_size=2, image_size=4)
    whole = net.get_parameter("patch_embed.2.positions")[..., :16]
    expected = resample_abs_pos_embed(whole, [2, 2], [4, 4], num_prefix_tokens=1)
    torch.testing.assert_close(net.extract(small).patch_embed.positions.data, expected)


@SHARING
def test_a_population_shares_prefixes_and_gives_the_values_of_one_by_one(weight_sharing: str) -> None:
    net, members = NETS[weight_sharing], SPACE.sample(60, seed=3)
    with torch.inference_mode():
        for member, logits in walk(net, IMAGES, PrefixTree(members)):
            assert isinstance(logits, Tensor)
            assert torch.equal(logits, net(IMAGES, member))
    assert len(PrefixTree(members).roots) == 8


@SHARING
def test_training_moves_what_takes_part_and_nothing_else(weight_sharing: Any, digits: Dataset) -> None:
    space = SearchSpace.from_dict({**SPACE.to_dict(), "supernet": {}})
    net = Supernet(space, weight_sharing=weight_sharing, seed=3)
    before = {name: parameter.clone() for name, parameter in net.named_parameters()}
    recipe = Recipe.for_dataset("digits").replace(epochs=1, batch_size=128, unused_slices="freeze", warmup_epochs=0)
    one = uniform(16, 2, 0, 1, patch_size=4, image_size=4)
    limit = {"params": (space.params(one),) * 2, "macs": (space.macs(one),) * 2}
    recipe = recipe.replace(budget=limit)
    drawn = SamplingSchedule(space, recipe)(0, len(digits.train) // 128)
    train_supernet(net, digits, recipe, device="cpu", progress=False)
    moved = {name for name, parameter in net.named_parameters() if not torch.equal(parameter, before[name])}
    active = {name for (member,) in drawn for name in net.active_shapes(member)}
    assert active - moved == {name for name in active if "cls_token" in name}  # no layer attends to it
    assert moved < active
    assert not any(".attn" in name or "patch_embed.2" in name for name in moved)


def test_a_trained_supernet_ranks_and_is_read_back(digits: Dataset, tmp_path: Path) -> None:
    net = Supernet(SPACE, drop_path=0.1, seed=0)
    recipe = Recipe.for_dataset("digits").replace(epochs=2, warmup_epochs=0, sampling="sandwich", validate_every=2)
    history = train_supernet(net, digits, recipe, device="cpu", progress=False).history
    assert history[-1]["train_loss"] < history[0]["train_loss"]
    loaded = Supernet.load(net.save(tmp_path / "net.safetensors"), SPACE)
    members = SPACE.sample(5, seed=1)
    first, second = (
        [each.value for each in InheritedFitness(own, digits.search, device="cpu").evaluate(members)]
        for own in (net, loaded)
    )
    assert first == second
    subnet = net.extract(members[0])
    again = load_network(subnet.save(tmp_path / "subnet.safetensors"))
    assert (again.architecture, again.geometry) == (subnet.architecture, subnet.geometry)
    with torch.inference_mode():
        assert torch.equal(again(IMAGES), subnet.eval()(IMAGES))


def test_no_reference_subnet_skips_a_branch() -> None:
    subnets = reference_subnets(SPACE, Recipe())
    assert subnets["smallest"] == uniform(16, 2, 1, 1, patch_size=4, image_size=4)
    assert subnets["largest"] == SPACE.largest
    assert all(all(each.num_heads) and all(each.mlp_ratio) and each in SPACE for each in subnets.values())


@pytest.mark.parametrize("budget", [{"params": (None, 12_000)}, {"params": (6000, 12_000), "macs": (None, 200_000)}])
def test_no_reference_subnet_within_a_budget_skips_a_branch(budget: dict[str, Any]) -> None:
    subnets = reference_subnets(SPACE, Recipe(budget=budget))
    assert all(all(each.num_heads) and all(each.mlp_ratio) for each in subnets.values())
    assert all(each in SPACE.feasible(**budget) for each in subnets.values())
    assert SPACE.params(subnets["smallest"]) <= SPACE.params(subnets["largest"])


def test_where_all_must_skip_the_reference_subnets_skip() -> None:
    nothing = {"params": (None, SPACE.feasible().bounds("params")[0])}
    assert reference_subnets(SPACE, Recipe(budget=nothing))["largest"] in SPACE.feasible(**nothing)


def test_a_latency_table_has_a_time_for_every_block_and_none_for_skipped_layers(tmp_path: Path) -> None:
    table, _ = measure_blocks(SPACE, runtime="torch", repeats=1)
    table.save(tmp_path / "t.json")
    assert LatencyTable.load(tmp_path / "t.json") == table
    assert (table.network, len(table.stem), len(table.layer)) == (("image_size", "patch_size"), 8, 8 * 8)
    timed = SPACE.with_cost(table.cost())
    nothing = uniform(16, 3, 0, 0, patch_size=4, image_size=4)
    assert timed.costs(nothing)["latency_ms"] * 1000 == table.stem[16, 4, 4]
    low, high = timed.feasible().bounds("latency_ms")
    members = timed.feasible(latency_ms=(low + high) / 2).sample(30)
    assert all(timed.costs(member)["latency_ms"] <= (low + high) / 2 for member in members)


@pytest.mark.parametrize(
    ("architecture", "words"),
    [
        (uniform(16, 2, 1, 1, patch_size=8, image_size=8), "patch_size is 8, but this network has 2, 4; take one"),
        (uniform(16, 2, 1, 1, patch_size=2, image_size=16), "image_size is 16, but this network has 4, 8"),
        (uniform(16, 2, 3, 1, patch_size=2, image_size=8), "num_heads of layer 0 is 3, but this network has 2"),
    ],
)
def test_what_it_has_no_weights_for_is_named(architecture: Architecture, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        NETS["entangled"](IMAGES, architecture)
    with pytest.raises(ArchitectureError, match=words.split()[0]):
        SPACE.require(architecture)


def test_images_of_any_size_are_taken_where_the_resolution_is_a_choice() -> None:
    net, member = NETS["entangled"], SPACE.largest
    assert net(torch.zeros(2, 1, 12, 12), member).shape == (2, 10)
    for shape in ((2, 1, 8, 6), (2, 3, 8, 8), (1, 8, 8)):
        with pytest.raises(DataError, match=r"images must be \(batch, 1, 8, 8\), got"):
            net(torch.zeros(shape), member)
    fixed = VisionTransformer(SPACE.geometry, uniform(16, 2, 1, 1))
    with pytest.raises(DataError, match=r"images must be \(batch, 1, 8, 8\), got \(2, 1, 12, 12\)"):
        fixed(torch.zeros(2, 1, 12, 12))


def test_the_official_format_is_refused_what_it_cannot_hold() -> None:
    with pytest.raises(CheckpointError, match="the official format holds one patch size"):
        to_autoformer(NETS["entangled"])
    with pytest.raises(CheckpointError, match="no layer without attention or MLP"):
        to_autoformer(NETS["entangled"].extract(uniform(16, 2, 0, 1, patch_size=2, image_size=8)))


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits")


class Narrow(SlicedAttention):
    """The usual attention, told a further dimension of its layer."""

    def __init__(self, *sizes: int, layer: Layer, **options: Any) -> None:
        super().__init__(*sizes, **options)
        self.scales = torch.nn.Parameter(torch.ones(layer.z_narrow))

    def forward(self, x: Tensor, layer: Layer, grid: PatchGrid | None) -> Tensor:
        return super().forward(x, layer, grid) * self.scales[: layer.z_narrow].mean()


COSTS = {"params": lambda _, layer: layer.z_narrow if layer.num_heads else 0}
NARROW = register(Kind("z_narrow", "layer", costs=COSTS, attention=Narrow))
OTHER = register(Kind("z_other_attention", "layer", attention=Narrow))


def test_a_dimension_from_outside_builds_its_own_attention() -> None:
    space = SearchSpace.from_dict({**SPACE.to_dict(), "z_narrow": {"per_layer": [1, 3]}, "supernet": {}})
    net = random_supernet(space)
    for member in space.sample(20, seed=2):
        subnet = net.extract(member)
        assert sum(parameter.numel() for parameter in subnet.parameters()) == space.params(member)
        with torch.inference_mode():
            torch.testing.assert_close(subnet(IMAGES), net(IMAGES, member))
    with pytest.raises(ArchitectureError, match="the architecture lacks z_narrow, which this network has"):
        net(IMAGES, SPACE.largest)
    for each, holder in ((net, "this network has"), (space, "space 'everything' searches")):
        with pytest.raises(ArchitectureError, match=f"the architecture lacks (patch|image)_size, which {holder}"):
            each.require(uniform(16, 2, 1, 1, z_narrow=1))
    with pytest.raises(ArchitectureError, match="this network has no z_narrow; remove it"):
        NETS["entangled"](IMAGES, space.largest)
    with pytest.raises(ArchitectureError, match="classical sharing has no weights for each choice of z_narrow"):
        Supernet(space, weight_sharing="classical")
    both = SearchSpace.from_dict({**space.to_dict(), "z_other_attention": {"per_layer": [1, 2]}})
    with pytest.raises(ArchitectureError, match="z_narrow and z_other_attention each build the attention"):
        Supernet(both)


SHRINKING = register(Kind("z_shrinking", "layer", grows=False))


def test_a_dimension_whose_larger_values_make_smaller_networks_has_weights_for_all() -> None:
    declared = {**SPACE.to_dict(), "z_shrinking": {"per_layer": [1, 3]}, "supernet": {}}
    space = SearchSpace.from_dict(declared)
    assert (space.smallest.z_shrinking[0], space.largest.z_shrinking[0]) == (3, 1)
    for architecture in (space.smallest, space.largest):
        space.require(architecture)
    net = random_supernet(space)
    assert net(IMAGES, space.smallest).shape == net(IMAGES, space.largest).shape == (3, 10)
    assert space.differences(SPACE)[0].startswith("z_shrinking: per_layer 1/3 against None")
    assert SPACE.differences(space)[0].startswith("z_shrinking: None against per_layer 1/3")


def test_bfloat16_images_are_resized_on_a_cpu() -> None:
    net, member = random_supernet(), uniform(16, 2, 1, 1, patch_size=2, image_size=4)
    expected = net(IMAGES, member)
    got = net.to(torch.bfloat16)(IMAGES.to(torch.bfloat16), member)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), expected, atol=0.3, rtol=0.3)


def test_a_file_that_needs_a_dimension_of_another_package_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = SearchSpace.from_dict({**SPACE.to_dict(), "z_narrow": {"per_layer": [1, 3]}, "supernet": {}})
    net = random_supernet(space)
    subnet = net.extract(space.largest)
    files = net.save(tmp_path / "supernet.safetensors"), subnet.save(tmp_path / "network.safetensors")
    monkeypatch.delitem(dimension._KINDS, "z_narrow")
    for read, file in zip((Supernet.load, load_network), files, strict=True):
        with pytest.raises(CheckpointError, match=r"cannot build the .* of .*: .*'z_narrow'"):
            read(file)


@SHARING
def test_a_network_is_absorbed_where_it_came_from(weight_sharing: str) -> None:
    net = deepcopy(NETS[weight_sharing])
    for member in SPACE.sample(5, seed=1):
        subnet = net.extract(member)
        with torch.no_grad():
            for parameter in subnet.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        net.absorb(subnet)
        own = dict(net.named_parameters())
        for name, parameter in subnet.named_parameters():
            shared = leading_slice(own[net.shared_name(name, member)], parameter.shape)
            assert shared.shape != parameter.shape or torch.equal(shared, parameter), name
        if member.image_size == 8:
            with torch.inference_mode():
                torch.testing.assert_close(net(IMAGES, member), subnet(IMAGES))
