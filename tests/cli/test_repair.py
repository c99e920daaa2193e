"""``--repair``: subnets of a checkpoint are repaired by default, others if asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer as TimmViT

from nasformer.supernet import Supernet
from tests.cli.conftest import Command

Refused = Callable[..., None]
SUBNET = '{"embed_dim": 48, "num_heads": [1, 2], "mlp_ratio": [1, 1]}'
QUICK = ("--epochs", 1, "--device", "cpu", "-q", "--data", "digits")


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A supernet of a model of timm."""
    monkeypatch.setenv("NASFORMER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"img_size": 8, "patch_size": 2, "in_chans": 1, "num_classes": 10}
    model = TimmViT(**sizes, embed_dim=64, depth=2, num_heads=4, mlp_ratio=2.0).eval()
    return str(Supernet.from_timm(model).save("family.safetensors"))


def test_a_subnet_of_a_checkpoint_is_repaired_before_its_fine_tuning(nasformer: Command, family: str) -> None:
    target = ("finetune", SUBNET, "--supernet", family, *QUICK)
    done = nasformer(*target, "--out", "fine")
    assert done.code == 0, done.err
    assert "repaired on 819 images in " in done.out
    fine = json.loads(Path("fine/finetune.json").read_text())
    assert (fine["repair"]["images"], fine["repair"]["held_out"]) == (819, 205)
    assert fine["repair"]["after"] < fine["repair"]["before"]
    done = nasformer(*target, "--out", "fine", "--resume")
    assert done.code == 0, done.err
    done = nasformer(*target, "--out", "plain", "--no-repair")
    assert done.code == 0, done.err
    assert "repair" not in done.out
    plain = json.loads(Path("plain/finetune.json").read_text())
    assert "repair" not in plain
    assert plain["before"]["loss"] != fine["before"]["loss"]
    done = nasformer("export", "fine", "--out", "model", "--data", "digits")
    assert done.code == 0, done.err
    assert "- repair after cutting: by least squares on 819 train images" in Path("model/README.md").read_text()


def test_an_export_of_a_checkpoints_subnet_is_repaired(nasformer: Command, family: str) -> None:
    done = nasformer("export", SUBNET, "--supernet", family, "--data", "digits", "--out", "model")
    assert done.code == 0, done.err
    assert "repaired on 819 images in " in done.out
    record = json.loads(Path("model/nasformer.json").read_text())
    assert record["provenance"]["repair"]["kept"] is True
    assert "- repair after cutting: by least squares on 819 train images" in Path("model/README.md").read_text()


def test_other_subnets_are_repaired_if_asked_for(nasformer: Command, refused: Refused, weights: Path) -> None:
    done = nasformer("finetune", "digits", "smallest", *QUICK, "--out", "fine")
    assert done.code == 0, done.err
    assert "repair" not in done.out
    done = nasformer("finetune", "digits", "smallest", *QUICK, "--out", "again", "--repair")
    assert done.code == 0, done.err
    assert "on 819 images in " in done.out
    refused(
        "--repair is of subnets of a supernet, but .*network.safetensors is a network", "export", "fine", "--repair"
    )
