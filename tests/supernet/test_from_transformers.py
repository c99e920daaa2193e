"""Hugging Face models as supernets: their largest member is the model; sizes are small, weights are random."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nasformer.errors import ArchitectureError, CheckpointError
from nasformer.supernet import Supernet

transformers = pytest.importorskip("transformers", reason="the extra 'transformers' is not installed")

SIZES: dict[str, Any] = {
    "image_size": 16, "patch_size": 4, "num_channels": 3, "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 4, "intermediate_size": 64, "mlp_ratio": 2, "num_labels": 5,
}  # fmt: skip
MODELS = ["ViT", "DeiT", "Dinov2", "Dinov2WithRegisters"]


def model(kind: str, **options: Any) -> Any:
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**{**SIZES, **options})
    net = getattr(transformers, f"{kind}ForImageClassification")(config).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(0.0, 0.2)
    return net


def images(count: int = 4) -> Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def logits(net: Any) -> Tensor:
    with torch.no_grad():
        found: Tensor = net(images()).logits
    return found


@pytest.mark.parametrize("measured", [False, True], ids=["weights", "images"])
@pytest.mark.parametrize("kind", MODELS)
def test_the_largest_member_is_the_model(kind: str, measured: bool) -> None:
    net = Supernet.from_transformers(model(kind), batches=[(images(), torch.arange(4))] if measured else None)
    torch.testing.assert_close(net(images()), logits(model(kind)), rtol=1e-5, atol=1e-5)
    assert net.architecture == net.space.largest
    small = net.space.sample(1, seed=0)[0]
    torch.testing.assert_close(net.extract(small)(images()), net(images(), small), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", [{"use_swiglu_ffn": True}, {"qkv_bias": False}, {"hidden_act": "quick_gelu"}])
def test_variants_of_dinov2(options: dict[str, Any]) -> None:
    net = Supernet.from_transformers(model("Dinov2", **options))
    torch.testing.assert_close(net(images()), logits(model("Dinov2", **options)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", MODELS)
def test_a_folder_brings_its_classes_and_preprocessing(kind: str, tmp_path: Path) -> None:
    names = {0: "ant", 1: "bee", 2: "cat", 3: "dog", 4: "eel"}
    net = model(kind, id2label=names, label2id={name: number for number, name in names.items()})
    net.save_pretrained(tmp_path / "mine")
    steps = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.1], "size": {"shortest_edge": 20}, "resample": 2}
    text = json.dumps({**steps, "crop_size": {"height": 16, "width": 16}, "do_center_crop": True})
    (tmp_path / "mine" / "preprocessor_config.json").write_text(text)
    found = Supernet.from_transformers(tmp_path / "mine")
    torch.testing.assert_close(found(images()), logits(net), rtol=1e-5, atol=1e-5)
    imported = found.metadata["imported"]
    assert (imported["format"], imported["name"], imported["classes"]) == ("transformers", "mine", list(names.values()))
    wanted = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.1], "crop_pct": 0.8, "interpolation": "bilinear"}
    assert imported["preprocessing"] == wanted


def test_a_new_head_takes_other_classes() -> None:
    net = Supernet.from_transformers(model("Dinov2"), num_classes=3)
    assert net(images()).shape == (4, 3)
    assert net.metadata["imported"]["new_head"]


def test_other_models_are_refused_by_name() -> None:
    config = transformers.DeiTConfig(**SIZES)
    with pytest.raises(ArchitectureError, match="DeiTForImageClassificationWithTeacher is none of ViTForImage"):
        Supernet.from_transformers(transformers.DeiTForImageClassificationWithTeacher(config))
    with pytest.raises(ArchitectureError, match="Linear is none of ViTForImageClassification"):
        Supernet.from_transformers(nn.Linear(1, 1))
    with pytest.raises(ArchitectureError, match="activation 'relu'"):
        Supernet.from_transformers(model("ViT", hidden_act="relu"))
    with pytest.raises(ArchitectureError, match="not square"):
        Supernet.from_transformers(model("ViT", image_size=[16, 32]))


def test_folders_that_hold_no_model(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        Supernet.from_transformers(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="cannot read the model of"):
        Supernet.from_transformers(tmp_path)
