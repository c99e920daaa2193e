"""Files of weights: our own and the official ones, of the subnet and of its supernet, through timm's loaders."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import timm
import torch
from timm.models import load_checkpoint
from timm.models._hub import save_for_hf
from torch import Tensor

import nasformer as nf
from nasformer.architecture import Architecture, uniform
from nasformer.cost.geometry import Geometry
from nasformer.errors import ArchitectureError, CheckpointError
from nasformer.export.timm import TimmVisionTransformer, to_timm
from nasformer.export.timm.weights import convert_weights
from nasformer.supernet import VisionTransformer, to_autoformer
from tests.export.conftest import ARCHITECTURE, GEOMETRY

resolve_data_config = import_module("timm.data").resolve_data_config  # it has no types that mypy could use
MAXIMUM = Architecture(32, (3, 3, 3, 3), (2, 2, 2, 2))
Layout = Literal["leading", "interleaved"]


def supernet(qkv_bias: Layout = "leading", geometry: Geometry = GEOMETRY) -> VisionTransformer:
    """A network whose every parameter, biases too, is random."""
    net = VisionTransformer(geometry, MAXIMUM, qkv_bias=qkv_bias, seed=None).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(std=0.2, generator=generator)
    return net


@pytest.mark.parametrize("qkv_bias", ["leading", "interleaved"])
def test_both_formats_of_subnet_and_supernet_are_taken(qkv_bias: Layout, images: Tensor) -> None:
    net = supernet(qkv_bias)
    subnet = net.extract(ARCHITECTURE)
    for weights in (net.state_dict(), subnet.state_dict(), to_autoformer(net), to_autoformer(subnet)):
        model = TimmVisionTransformer(GEOMETRY, ARCHITECTURE, supernet=MAXIMUM, qkv_bias=qkv_bias).eval()
        model.load_state_dict(weights)
        assert torch.equal(model(images), subnet(images))


@pytest.mark.parametrize("name", ["small", "clamped"])
def test_an_official_file_gives_the_official_logits(name: str, reference: Path) -> None:
    path = reference / "autoformer-reference" / f"{name}.pth"
    if not path.is_file():
        pytest.skip(f"no official reference data: {path} is absent (set NASFORMER_REFERENCE)")
    facts, arrays = json.loads(path.with_suffix(".json").read_text()), np.load(path.with_suffix(".npz"))
    sizes = {size: facts[size] for size in ("image_size", "patch_size", "num_classes")}
    geometry = Geometry(**sizes, max_distance=facts["max_relative_position"])
    maximum = uniform(*(facts[f"super_{size}"] for size in ("embed_dim", "depth", "num_heads", "mlp_ratio")))
    for config, expected in zip(facts["configs"], torch.from_numpy(arrays["logits"]), strict=True):
        architecture = Architecture(config["embed_dim"][0], config["num_heads"], config["mlp_ratio"])
        if (architecture.embed_dim, architecture.depth) != (maximum.embed_dim, maximum.depth):
            model = TimmVisionTransformer(geometry, architecture, supernet=maximum, seed=None).eval()
            load_checkpoint(model, str(path))
            logits = model(torch.from_numpy(arrays["images"]))
            torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_weights_of_a_strangers_sizes_are_refused() -> None:
    model = TimmVisionTransformer(GEOMETRY, ARCHITECTURE)
    words = "embed_dim 32 and depth 4, this model takes embed_dim 24 and depth 3; .*extract.*to_timm"
    for weights in (supernet().state_dict(), to_autoformer(supernet())):
        with pytest.raises(CheckpointError, match=words):
            model.load_state_dict(weights)
    with pytest.raises(RuntimeError, match=r"Missing key.*patch_embed\.weight"):
        model.load_state_dict({})


def test_a_damaged_supernet_is_refused_by_name() -> None:
    model = TimmVisionTransformer(GEOMETRY, ARCHITECTURE, supernet=MAXIMUM)
    own, official = dict(supernet().state_dict()), to_autoformer(supernet())
    del own["blocks.1.mlp.fc1.bias"]
    official["blocks.1.fc1.bias"] = torch.zeros(3)
    with pytest.raises(CheckpointError, match=r"lacks tensor blocks\.1\.mlp\.fc1\.bias"):
        model.load_state_dict(own)
    headless = {name: tensor for name, tensor in supernet().state_dict().items() if not name.startswith("head.")}
    with pytest.raises(CheckpointError, match=r"lacks tensor head\.bias"):
        model.load_state_dict(headless)
    with pytest.raises(CheckpointError, match=r"blocks\.1\.fc1\.bias is \(3,\) in the file, but \(64,\)"):
        model.load_state_dict(official)


def test_other_state_dicts_are_left_to_torch(small: TimmVisionTransformer) -> None:
    assert convert_weights(small, {"head.bias": torch.zeros(5)}).keys() == {"head.bias"}
    own = small.state_dict()
    assert convert_weights(small, own) is own


@pytest.mark.parametrize("official", [False, True], ids=["own", "official"])
def test_timms_factory_takes_a_supernets_file(official: bool, tmp_path: Path, tiny: Callable[..., Any]) -> None:
    space = nf.load_space("autoformer-tiny")
    net = VisionTransformer(
        replace(space.geometry, image_size=32, num_classes=10), space.supernet_architecture, seed=5
    ).eval()
    path = tmp_path / ("supernet.pth" if official else "supernet.safetensors")
    if official:
        torch.save({"model": to_autoformer(net), "args": argparse.Namespace(lr=1e-3)}, path)
    else:
        net.save(path)
    subnet, images = net.extract(nf.released("autoformer-tiny")), torch.randn(2, 3, 32, 32)
    overlay = {"file": str(path), "num_classes": 10, "input_size": (3, 32, 32)}
    models = [
        tiny(checkpoint_path=str(path)),
        tiny(pretrained=True, pretrained_cfg_overlay=overlay),
        tiny(pretrained=True, pretrained_cfg_overlay={"state_dict": to_autoformer(net), "num_classes": 10}),
    ]
    for model in models:
        assert torch.equal(model.eval()(images), subnet(images))
    loaded = tiny()
    load_checkpoint(loaded, str(path))  # as timm's validation script does
    assert torch.equal(loaded.eval()(images), subnet(images))


def test_pretrained_weights_fit_another_task(tmp_path: Path, tiny: Callable[..., Any]) -> None:
    space = nf.load_space("autoformer-tiny")
    geometry = replace(space.geometry, image_size=32, num_classes=20)
    net = VisionTransformer(geometry, nf.released("autoformer-tiny"), seed=5)
    overlay = {"file": str(net.save(tmp_path / "net.safetensors")), "num_classes": 20}
    model = tiny(img_size=64, in_chans=1, pretrained=True, pretrained_cfg_overlay=overlay)
    assert model(torch.zeros(2, 1, 64, 64)).shape == (2, 10)
    torch.testing.assert_close(model.patch_embed.weight, net.patch_embed.weight.sum(dim=1, keepdim=True))
    assert torch.equal(model.patch_embed.positions[:, 0], net.patch_embed.positions[:, 0])
    assert torch.equal(model.get_parameter("blocks.3.mlp.fc1.weight"), net.get_parameter("blocks.3.mlp.fc1.weight"))
    features = tiny(features_only=True, pretrained=True, pretrained_cfg_overlay=overlay)
    assert torch.equal(features.model.patch_embed.weight, net.patch_embed.weight)


def test_a_strict_load_never_resamples(tmp_path: Path, tiny: Callable[..., Any]) -> None:
    torch.save(tiny(img_size=64).state_dict(), tmp_path / "larger.pth")
    with pytest.raises(RuntimeError, match=r"size mismatch for patch_embed\.positions"):
        tiny(checkpoint_path=str(tmp_path / "larger.pth"))


def test_a_folder_in_the_hubs_form_is_read_back(tmp_path: Path, tiny: Callable[..., Any]) -> None:
    model, images = tiny(global_pool="token").eval(), torch.randn(2, 3, 32, 32)
    save_for_hf(model, str(tmp_path), model_args={"img_size": 32, "global_pool": "token"})
    again = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    assert torch.equal(again(images), model(images))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("qkv_bias", ["leading", "interleaved"])
@pytest.mark.parametrize("max_distance", [2, None])
def test_any_network_becomes_one_of_timms(
    pooling: Literal["mean", "cls"], qkv_bias: Layout, max_distance: int | None, images: Tensor
) -> None:
    geometry = replace(GEOMETRY, max_distance=max_distance)
    net = VisionTransformer(geometry, MAXIMUM, pooling=pooling, qkv_bias=qkv_bias, drop_path=0.3).eval()
    model = to_timm(net.extract(ARCHITECTURE))
    assert torch.equal(model(images), net(images, ARCHITECTURE))
    assert not model.training
    assert model.drop_path_rates == net.drop_path_rates[:3]
    assert not {p.data_ptr() for p in model.parameters()} & {p.data_ptr() for p in net.parameters()}
    assert torch.equal(to_timm(model)(images), model(images))


def test_a_networks_input_is_described_for_timms_loaders() -> None:
    gray = Geometry(image_size=8, patch_size=2, in_channels=1, num_classes=10, head_dim=16, max_distance=3)
    net = VisionTransformer(gray, Architecture(32, (2,), (2,)))
    config = resolve_data_config(model=to_timm(net))
    assert (config["input_size"], config["mean"], config["std"]) == ((1, 8, 8), (0.0,), (1.0,))
    assert resolve_data_config(model=to_timm(net, mean=(0.3,)))["mean"] == (0.3,)
    with pytest.raises(ArchitectureError, match=r"no entry 'maen'; did you mean 'mean'\?"):
        to_timm(net, maen=(0.3,))
