"""Official checkpoints: both layouts of the bias, nothing executed, mismatches named."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

from nasformer.errors import ArchitectureError, CheckpointError
from nasformer.space import SearchSpace, load_space
from nasformer.space.declaration import write_space
from nasformer.supernet import Supernet, VisionTransformer, read_autoformer, to_autoformer, write_autoformer


@pytest.mark.parametrize("qkv_bias", ["leading", "interleaved"])
def test_a_round_trip_through_the_official_format(
    space: SearchSpace,
    tmp_path: Path,
    qkv_bias: Literal["leading", "interleaved"],
    plain: Callable[..., torch.Tensor],
) -> None:
    net = Supernet(space, qkv_bias=qkv_bias)
    with torch.no_grad():
        for block in range(3):
            net.get_parameter(f"blocks.{block}.attn.qkv.bias").normal_()
    arguments = argparse.Namespace(lr=np.float64(5e-4), output_dir=Path("/nowhere"), change_qkv=True)
    torch.save({"model": to_autoformer(net), "epoch": 3, "args": arguments}, tmp_path / "official.pth")
    loaded = Supernet.from_autoformer(tmp_path / "official.pth", space, qkv_bias=qkv_bias).eval()
    images = torch.randn(2, 1, 8, 8)
    for architecture in (space.smallest, space.centroid, space.largest):
        logits = loaded(images, architecture)
        assert torch.equal(logits, net.eval()(images, architecture))
        torch.testing.assert_close(logits, plain(net, images, architecture), rtol=1e-4, atol=1e-5)


def test_a_file_of_before_torch_1_6_is_read(space: SearchSpace, tmp_path: Path) -> None:
    content: dict[str, Any] = {"model": to_autoformer(Supernet(space)), "args": argparse.Namespace(lr=5e-4)}
    torch.save(content, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert read_autoformer(tmp_path / "old.pth").keys() == content["model"].keys()


def test_a_space_is_named_and_the_weights_written_are_the_official_ones(tmp_path: Path) -> None:
    net = Supernet(load_space("digits"), seed=3)
    path = write_autoformer(net, tmp_path / "official.pth")
    content = torch.load(path, weights_only=True)
    assert content.keys() == {"model"}
    for space in ("digits", str(declared_in(tmp_path, "digits")), load_space("digits")):
        loaded = Supernet.from_autoformer(path, space=space)
        assert not loaded.training
        assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), net.parameters(), strict=True))
    assert loaded.metadata["imported"] == {"format": "autoformer", "file": "official.pth"}


def declared_in(folder: Path, name: str) -> Path:
    write_space(load_space(name), folder / f"{name}.yaml")
    return folder / f"{name}.yaml"


def test_another_space_names_the_tensor_both_shapes_and_the_space_that_fits(tmp_path: Path) -> None:
    path = write_autoformer(Supernet(load_space("digits")), tmp_path / "official.pth")
    words = r"proj.weight is \(64, 1, 2, 2\) in the file, but .*, 4, 4\) in the space.*it fits the space 'digits'"
    with pytest.raises(CheckpointError, match=words):
        Supernet.from_autoformer(path, "fashion-mnist")


def test_unknown_options_are_refused(space: SearchSpace, tmp_path: Path) -> None:
    path = write_autoformer(Supernet(space), tmp_path / "official.pth")
    with pytest.raises(ArchitectureError, match="qkv_bias must be 'leading' or 'interleaved', got 'both'"):
        Supernet.from_autoformer(path, space, qkv_bias="both")  # type: ignore[arg-type]
    with pytest.raises(ArchitectureError, match=r"pooling must be 'mean' .* or 'flatten', got 'max'"):
        VisionTransformer(space.geometry, space.supernet_architecture, pooling="max")  # type: ignore[arg-type]


def test_the_two_bias_layouts_differ_below_full_width(space: SearchSpace, tmp_path: Path) -> None:
    net = Supernet(space)
    official = to_autoformer(net)
    official["blocks.0.attn.qkv.bias"] = torch.arange(72.0)
    torch.save({"model": official}, tmp_path / "official.pth")
    images = torch.randn(2, 1, 8, 8)
    leading = Supernet.from_autoformer(tmp_path / "official.pth", space).eval()
    interleaved = Supernet.from_autoformer(tmp_path / "official.pth", space, qkv_bias="interleaved").eval()
    assert not torch.allclose(leading(images, space.smallest), interleaved(images, space.smallest), atol=1e-3)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    class Malice:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            return os.system, (f"touch {tmp_path / 'executed'}",)

    torch.save({"model": {"a": torch.zeros(1)}, "args": Malice()}, tmp_path / "bad.pth")
    with pytest.raises(
        CheckpointError, match=r"cannot read .*bad\.pth as .*: it holds posix\.system, which is code"
    ) as e:
        read_autoformer(tmp_path / "bad.pth")
    assert "\n" not in str(e.value)
    assert "weights_only" not in str(e.value)
    assert not (tmp_path / "executed").exists()


def test_a_mismatch_names_the_tensor_and_both_shapes(space: SearchSpace, tmp_path: Path) -> None:
    official = to_autoformer(Supernet(space))
    path = tmp_path / "official.pth"
    torch.save({"model": {**official, "blocks.1.fc1.weight": torch.zeros(40, 24)}}, path)
    with pytest.raises(CheckpointError, match=r"blocks\.1\.fc1\.weight is \(40, 24\) in the file, but \(48, 24\)"):
        Supernet.from_autoformer(path, space)
    torch.save({"model": {k: v for k, v in official.items() if k != "norm.bias"}}, path)
    with pytest.raises(CheckpointError, match=r"lacks norm\.bias \(24,\) \(1 such in all\)"):
        Supernet.from_autoformer(path, space)
    torch.save({"model": {**official, "blocks.3.fc1.bias": torch.zeros(4)}}, path)
    with pytest.raises(CheckpointError, match=r"unknown blocks\.3\.fc1\.bias \(4,\)"):
        Supernet.from_autoformer(path, space)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ""),
        (b"not a checkpoint", "no file of weights, or damaged"),
        (b"PK\x03\x04 torn", ""),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<!doctype html>", "an HTML page"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"bad\.pth.*{words}") as caught:
        read_autoformer(tmp_path / "bad.pth")
    assert "weights_only" not in str(caught.value)
    with pytest.raises(CheckpointError, match=r"absent\.pth.*: No such file"):
        read_autoformer(tmp_path / "absent.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match=r"list\.pth is not an AutoFormer checkpoint"):
        read_autoformer(tmp_path / "list.pth")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_the_prefixes_of_wrappers_are_taken_off(tmp_path: Path, prefix: str) -> None:
    official = to_autoformer(Supernet(load_space("digits"), seed=1))
    torch.save({"model": {prefix + name: tensor for name, tensor in official.items()}}, tmp_path / "ddp.pth")
    loaded = read_autoformer(tmp_path / "ddp.pth")
    assert loaded.keys() == official.keys()
    assert all(torch.equal(loaded[name], official[name]) for name in official)


def test_the_space_that_was_given_is_no_way_out(tmp_path: Path) -> None:
    official = to_autoformer(Supernet(load_space("digits")))
    torch.save({"model": {**official, "head.bias": official["head.bias"] * float("nan")}}, tmp_path / "nan.pth")
    with pytest.raises(CheckpointError, match=r"'digits': head\.bias holds NaN or infinite values in the file$"):
        Supernet.from_autoformer(tmp_path / "nan.pth", "digits")


@pytest.mark.parametrize("change", [lambda t: t.to("meta"), torch.Tensor.long, lambda t: t.to(torch.float8_e5m2)])
def test_a_tensor_that_is_no_dense_floats_is_named(tmp_path: Path, change: Callable[[torch.Tensor], object]) -> None:
    official = to_autoformer(Supernet(load_space("digits")))
    official["head.weight"] = change(official["head.weight"])  # type: ignore[assignment]
    torch.save({"model": official}, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=r"head\.weight is not a dense floating-point tensor"):
        Supernet.from_autoformer(tmp_path / "odd.pth", "digits")
