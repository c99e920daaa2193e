"""The released subnets by name: sizes, options, and one clear error for what is not there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
import timm
import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

import nasformer as nf
from nasformer.errors import ArchitectureError, CheckpointError
from nasformer.export.timm import TimmVisionTransformer
from nasformer.supernet import VisionTransformer

resolve_data_config = import_module("timm.data").resolve_data_config  # it has no types that mypy could use
NAMES = [f"autoformer_{size}_patch16_224" for size in ("base", "small", "tiny")]


@pytest.mark.parametrize(("size", "params"), [("tiny", 5_867_944), ("small", 22_891_432), ("base", 53_691_688)])
def test_the_released_subnets_have_the_papers_parameters(size: str, params: int) -> None:
    name = f"autoformer_{size}_patch16_224"
    with torch.device("meta"):
        model = timm.create_model(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == params
    assert model.architecture == nf.released(f"autoformer-{size}")
    assert timm.models.get_pretrained_cfg_value(name, "num_classes") == model.num_classes == 1000


def test_timm_lists_the_models_once_they_are_imported() -> None:
    lines = (
        "import timm, nasformer, nasformer.export",
        "print(timm.list_models('autoformer*'))",
        "import nasformer.export.timm",
        "print(timm.list_models('autoformer*'), timm.list_models('autoformer*', pretrained=True))",
    )
    done = subprocess.run([sys.executable, "-c", "; ".join(lines)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", f"{NAMES} []"]


def test_the_model_is_our_network_bit_for_bit(tiny: Callable[..., Any]) -> None:
    model = tiny(seed=3).eval()
    geometry = replace(nf.load_space("autoformer-tiny").geometry, image_size=32, num_classes=10)
    net = VisionTransformer(geometry, nf.released("autoformer-tiny"), seed=3).eval()
    images = torch.randn(2, 3, 32, 32)
    assert model.state_dict().keys() == net.state_dict().keys()
    assert torch.equal(model(images), net(images))
    smaller = nf.Architecture(96, (3, 2), (2, 2))
    assert torch.equal(model(images, smaller), net(images, smaller))


def test_initial_weights_follow_torchs_seed_as_those_of_timms_models_do(tiny: Callable[..., Any]) -> None:
    torch.manual_seed(4)
    first, second = tiny(), tiny()
    torch.manual_seed(4)
    again = tiny()
    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.head.weight, second.head.weight)


def test_options_of_the_factory_are_honoured(tiny: Callable[..., Any]) -> None:
    model = tiny(
        img_size=(48, 48), in_chans=1, num_classes=7, drop_rate=0.5, drop_path_rate=0.2, global_pool="token"
    ).double()
    assert model(torch.zeros(2, 1, 48, 48, dtype=torch.double)).shape == (2, 7)
    assert (model.in_chans, model.num_classes, model.head_drop.p) == (1, 7, 0.5)
    assert (model.global_pool, model.pooling) == ("token", "cls")
    assert model.drop_path_rates[0] == 0
    assert model.drop_path_rates[-1] == model.blocks[-1].drop_path == pytest.approx(0.2)
    placed = tiny(dtype=torch.bfloat16, device="cpu", num_classes=0)
    assert {parameter.dtype for parameter in placed.parameters()} == {torch.bfloat16}
    assert placed(torch.zeros(2, 3, 32, 32, dtype=torch.bfloat16)).shape == (2, 192)


def test_dropout_acts_before_the_head_and_in_training_alone(tiny: Callable[..., Any]) -> None:
    model = tiny(drop_rate=0.5).train()
    tokens = torch.ones(4, 5, 192)
    assert (model.forward_head(tokens, pre_logits=True) == 0).any()
    assert torch.equal(model.eval().forward_head(tokens, pre_logits=True), torch.ones(4, 192))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"drop_pth_rate": 0.1}, r"takes no option 'drop_pth_rate'; did you mean 'drop_path_rate'\?"),
        ({"img_size": 40}, "one multiple of the patch size 16 for both sides, got 40"),
        ({"img_size": (32, 48)}, r"for both sides, got \(32, 48\)"),
        ({"global_pool": "max"}, "global_pool must be 'avg' or 'token' or '', got 'max'"),
        ({"qkv_bias": "both"}, "qkv_bias must be 'leading' or 'interleaved', got 'both'"),
        ({"num_classes": -3}, "num_classes must be at least 0, got -3"),
        ({"in_chans": 0}, "in_chans must be at least 1, got 0"),
        ({"drop_path_rate": 1.0}, r"drop_path_rate must be at least 0 and below 1, got 1\.0"),
        ({"drop_rate": -0.1}, r"drop_rate must be at least 0 and below 1, got -0\.1"),
    ],
)
def test_impossible_options_are_refused(tiny: Callable[..., Any], options: dict[str, Any], words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        tiny(**options)


@pytest.mark.parametrize("name", NAMES)
def test_weights_to_download_are_refused_with_the_way_out(name: str) -> None:
    size = name.split("_")[1]
    words = rf"{name} has no weights to download; .* pretrained_cfg_overlay=\{{'file': 'supernet-{size}\.pth'\}}"
    with pytest.raises(CheckpointError, match=words):
        timm.create_model(name, pretrained=True)


def test_the_data_are_prepared_as_in_autoformers_evaluation(tiny: Callable[..., Any]) -> None:
    assert resolve_data_config(model=tiny()) == {
        "input_size": (3, 224, 224),
        "interpolation": "bicubic",
        "mean": IMAGENET_DEFAULT_MEAN,
        "std": IMAGENET_DEFAULT_STD,
        "crop_pct": 0.875,
        "crop_mode": "center",
    }


def test_features_only_gives_maps_of_chosen_blocks(tiny: Callable[..., Any]) -> None:
    images = torch.randn(2, 3, 32, 32)
    model = tiny(seed=1).eval()
    extractor = tiny(seed=1, features_only=True, out_indices=(0, 5, -3)).eval()
    maps = extractor(images)
    expected = model.forward_intermediates(images, (0, 5, 10), intermediates_only=True)
    assert all(torch.equal(a, b) for a, b in zip(maps, expected, strict=True))
    assert [tuple(features.shape) for features in maps] == [(2, 192, 2, 2)] * 3
    assert extractor.feature_info.channels() == [192] * 3
    assert extractor.feature_info.reduction() == [16] * 3
    assert len(extractor.model.blocks) == 11  # none beyond the last one asked for
    assert len(tiny(features_only=True)(images)) == 3


def test_a_hook_extractor_works_too(tiny: Callable[..., Any]) -> None:
    maps = tiny(features_only=True, feature_cls="hook", out_indices=(1, 12))(torch.zeros(2, 3, 32, 32))
    assert [tuple(features.shape) for features in maps] == [(2, 5, 192)] * 2  # the blocks' own tokens


def test_the_models_class_is_ours(tiny: Callable[..., Any]) -> None:
    assert isinstance(tiny(), TimmVisionTransformer)
    assert timm.list_models(module="autoformer") == NAMES
