"""Parts that a checkpoint fixes: subnets and costs of every combination, and round trips through files and exports."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nasformer.architecture import Architecture
from nasformer.cost import Geometry, Variant, macs, params
from nasformer.errors import CheckpointError, SpaceError
from nasformer.export.timm import to_timm
from nasformer.space import SearchSpace, choice, load_space, per_layer
from nasformer.supernet import Supernet, VisionTransformer, adapted, load_network, to_autoformer

FLAGS = ("patch_norm", "pre_norm", "final_norm", "fc_norm", "qk_norm", "scale_norms", "gated_mlp")
SIZES: dict[str, Any] = {
    "embed_dim": choice(24, 32), "depth": 2, "num_heads": per_layer(0, 2, 3), "mlp_ratio": per_layer(0, 1, 2),
    "head_dim": 8, "image_size": 12, "patch_size": 4, "num_classes": 5, "max_distance": None,
}  # fmt: skip


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    pooling = draw(st.sampled_from(["mean", "cls", "cls_mean", "map"]))
    parts: dict[str, Any] = {flag: draw(st.booleans()) for flag in FLAGS}
    parts["class_token"] = pooling.startswith("cls") or draw(st.booleans())
    parts["registers"] = draw(st.integers(0, 3))
    parts["norm"] = draw(st.sampled_from(["layer", "rms"]))
    parts["activation"] = draw(st.sampled_from(["gelu", "gelu_tanh", "quick_gelu", "silu"]))
    parts |= {"pool_heads": 2, "pool_hidden": 20} if pooling == "map" else {}
    return SearchSpace("parts", **SIZES, pooling=pooling, variant=parts)  # type: ignore[arg-type]


def randomised(net: Any) -> Any:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0.0, 0.3, generator=generator)
    return net.eval()


@settings(max_examples=30, deadline=None)
@given(space=spaces(), seed=st.integers(0, 99))
def test_subnets_and_their_costs(space: SearchSpace, seed: int) -> None:
    net, images = randomised(Supernet(space, qkv_bias="interleaved")), torch.randn(2, 3, 12, 12)
    (architecture,) = space.sample(1, seed=seed)
    subnet = net.extract(architecture)
    torch.testing.assert_close(subnet(images), net(images, architecture), rtol=1e-4, atol=1e-4)
    assert space.params(architecture) == sum(parameter.numel() for parameter in subnet.parameters())
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        subnet(images)
    assert counter.get_total_flops() == 2 * 2 * space.macs(architecture)  # two images, two operations each
    assert SearchSpace.from_dict(space.to_dict()) == space
    assert Geometry.from_dict(space.geometry.to_dict()) == space.geometry


@settings(max_examples=15, deadline=None)
@given(space=spaces())
def test_files_and_adaptation_keep_the_parts(space: SearchSpace, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder, images = tmp_path_factory.mktemp("parts"), torch.randn(2, 3, 12, 12)
    net = randomised(Supernet(space, qkv_bias="interleaved"))
    assert torch.equal(Supernet.load(net.save(folder / "supernet.safetensors"))(images), net(images))
    subnet = net.extract(space.smallest.replace(num_heads=(2, 2), mlp_ratio=(1.0, 1.0)))
    loaded = load_network(subnet.save(folder / "network.safetensors"))
    assert torch.equal(loaded(images), subnet(images))
    other = adapted(loaded, num_classes=3, image_size=16)
    assert other(torch.randn(2, 3, 16, 16)).shape == (2, 3)
    if space.pooling != "cls_mean":
        model = to_timm(loaded)
        torch.testing.assert_close(model(images), loaded(images))
        assert model.forward_features(images).shape == (2, 9 + space.geometry.variant.prefix, 24)
        assert model.num_prefix_tokens == space.geometry.variant.prefix


def test_the_default_is_that_of_the_first_version() -> None:
    space = load_space("digits")
    assert "variant" not in space.to_dict()
    assert SearchSpace.from_dict({**space.to_dict(), "variant": {}}).fingerprint == space.fingerprint


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"variant": {"registers": -1}}, "registers is a whole number from 0 to 1,000,000, got -1"),
        ({"variant": {"registers": True}}, "registers is a whole number"),
        ({"variant": {"pre_norm": 1}}, "pre_norm is true or false, got 1"),
        ({"variant": {"norm": "batch"}}, "norm is 'layer' or 'rms', got 'batch'"),
        ({"variant": {"prenorm": True}}, "variant has no part 'prenorm'; did you mean 'pre_norm'"),
        ({"variant": 3}, "variant is a mapping of class_token, .*, got 3"),
        ({"variant": {"class_token": False}, "pooling": "cls"}, "pooling 'cls' reads the class token"),
        ({"pooling": "map"}, "pooling 'map', and no other, has a variant with pool_heads and pool_hidden"),
        ({"variant": {"pool_heads": 2, "pool_hidden": 8}}, "pooling 'map', and no other"),
        ({"variant": {"registers": 2}, "max_distance": 3}, "one token before the patches, got 3"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SpaceError, match=words):
        SearchSpace.from_dict({"name": "parts", **{**SIZES, **changes}})


def test_the_official_format_has_no_such_parts() -> None:
    geometry = Geometry(12, 4, 3, 5, 8, None, variant=Variant(registers=2))
    net = VisionTransformer(geometry, Architecture(24, (2,), (1,)))
    assert int(params(geometry, net.architecture)) == sum(parameter.numel() for parameter in net.parameters())
    assert int(macs(geometry, net.architecture)) > int(macs(Geometry(12, 4, 3, 5, 8, None), net.architecture))
    with pytest.raises(CheckpointError, match="'mean' or 'cls', not registers"):
        to_autoformer(net)
