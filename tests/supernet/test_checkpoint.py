"""Files of weights: what is written is read, and what cannot be read says why in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from nasformer.errors import CheckpointError
from nasformer.space import SearchSpace, choice
from nasformer.supernet import Supernet, VisionTransformer, load_network, write_autoformer


@pytest.fixture
def net(space: SearchSpace) -> Supernet:
    return Supernet(space, drop_path=0.2, qkv_bias="interleaved", seed=5)


def other_space(space: SearchSpace) -> SearchSpace:
    return SearchSpace.from_dict({**space.to_dict(), "embed_dim": choice(16, 20, 24).to_dict(), "max_distance": 3})


def test_a_supernet_comes_back_as_it_was(net: Supernet, tmp_path: Path) -> None:
    path = net.save(tmp_path / "deep" / "net.safetensors", {"recipe": {"epochs": 3}})
    loaded = Supernet.load(path)
    images = torch.randn(2, 1, 8, 8)
    assert loaded.space == net.space
    assert (loaded.qkv_bias, loaded.drop_path_rates) == (net.qkv_bias, net.drop_path_rates)
    assert loaded.metadata == {"recipe": {"epochs": 3}}
    assert torch.equal(loaded.eval()(images), net.eval()(images))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_the_header_declares_versions_and_space(net: Supernet, tmp_path: Path) -> None:
    with safe_open(net.save(tmp_path / "net.safetensors"), framework="pt") as file:
        header = json.loads(file.metadata()["nasformer"])
    assert header["kind"] == "supernet"
    assert header["format_version"] == 1
    assert header["library_version"]
    assert SearchSpace.from_dict(header["space"]) == net.space


def test_an_extracted_network_comes_back_as_it_was(net: Supernet, tmp_path: Path) -> None:
    subnet = net.extract(net.space.centroid).eval()
    loaded = load_network(subnet.save(tmp_path / "best.safetensors")).eval()
    images = torch.randn(2, 1, 8, 8)
    assert type(loaded) is VisionTransformer
    assert loaded.architecture == subnet.architecture
    assert torch.equal(loaded(images), subnet(images))


def test_an_equal_space_of_another_name_is_the_same_space(net: Supernet, tmp_path: Path) -> None:
    renamed = SearchSpace.from_dict({**net.space.to_dict(), "name": "renamed", "constraints": "params <= 9K"})
    assert Supernet.load(net.save(tmp_path / "net"), renamed).space is renamed


def test_another_space_names_every_difference(net: Supernet, tmp_path: Path) -> None:
    path = net.save(tmp_path / "net.safetensors")
    with pytest.raises(
        CheckpointError, match=r"another space than 'small': embed_dim.*; max_distance: 3 against 2"
    ) as e:
        Supernet.load(path, other_space(net.space))
    assert "\n" not in str(e.value)


def test_weights_of_a_training_that_diverged_are_refused(net: Supernet, tmp_path: Path) -> None:
    with torch.no_grad():
        net.get_parameter("blocks.0.mlp.fc2.bias")[0] = float("nan")
    path = net.save(tmp_path / "net.safetensors")
    with pytest.raises(CheckpointError, match=r"blocks\.0\.mlp\.fc2\.bias holds NaN or infinite values"):
        Supernet.load(path)
    official = write_autoformer(net, tmp_path / "official.pth")
    with pytest.raises(CheckpointError, match=r"official\.pth and .*: blocks\.0\.fc2\.bias holds NaN"):
        Supernet.from_autoformer(official, net.space)


@pytest.mark.parametrize("keep", [0, 5, 200, -100])
def test_a_truncated_file_is_refused(net: Supernet, tmp_path: Path, keep: int) -> None:
    path = net.save(tmp_path / "net.safetensors")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"cannot read the checkpoint .*net\.safetensors: "):
        Supernet.load(path)


def test_files_of_other_kinds_are_refused(net: Supernet, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"absent\.safetensors"):
        Supernet.load(tmp_path / "absent.safetensors")
    with pytest.raises(CheckpointError, match="holds a network, not a supernet"):
        Supernet.load(net.extract(net.space.smallest).save(tmp_path / "subnet"))
    with pytest.raises(CheckpointError, match="holds a supernet, not a network"):
        load_network(net.save(tmp_path / "net"))
    save_file({"a": torch.zeros(1)}, tmp_path / "foreign")
    with pytest.raises(CheckpointError, match="foreign is not a nasformer checkpoint"):
        Supernet.load(tmp_path / "foreign")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 99}, "format version 99, this library reads up to 1: upgrade"),
        ({"format_version": float("inf")}, "not a nasformer checkpoint: cannot convert float infinity to integer"),
        ({"space": {"name": "x"}}, "cannot build the supernet of .*: space 'x' lacks 'embed_dim'"),
        ({"qkv_bias": "odd"}, "must be 'leading' or 'interleaved', got 'odd'"),
        ({"drop_path": None}, "header of .* is damaged"),
        ({"metadata": 3}, "not a nasformer checkpoint: metadata is 3"),
        ({"metadata": {"training": 3}}, "training is 3"),
        ({"metadata": {"training": {"data": "digits"}}}, "data is 'digits'"),
        ({"kind": [1]}, r"holds a \[1\], not a supernet"),
    ],
)
def test_a_wrong_header_is_refused(net: Supernet, tmp_path: Path, change: dict[str, object], words: str) -> None:
    path = net.save(tmp_path / "net")
    with safe_open(path, framework="pt") as file:
        header = {**json.loads(file.metadata()["nasformer"]), **change}
    save_file(net.state_dict(), path, metadata={"nasformer": json.dumps(header)})
    with pytest.raises(CheckpointError, match=words):
        Supernet.load(path)


def test_tensors_that_do_not_fit_the_header_are_named_with_both_shapes(net: Supernet, tmp_path: Path) -> None:
    path = net.save(tmp_path / "net")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = {**net.state_dict(), "head.weight": torch.zeros(5, 16)}
    save_file(tensors, path, metadata=metadata)
    with pytest.raises(CheckpointError, match=r"head\.weight is \(5, 16\), but its header asks for \(5, 24\)"):
        Supernet.load(path)
    save_file({k: v for k, v in tensors.items() if k != "norm.bias"}, path, metadata=metadata)
    with pytest.raises(CheckpointError, match=r"lacks tensor norm\.bias"):
        Supernet.load(path)


@pytest.mark.parametrize(
    "dtype", [torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn], ids=lambda dtype: str(dtype)
)
def test_tensors_of_other_types_are_refused(net: Supernet, tmp_path: Path, dtype: torch.dtype) -> None:
    for name, module, load in (("net", net, Supernet.load), ("sub", net.extract(net.space.smallest), load_network)):
        path = module.save(tmp_path / name)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        save_file({**module.state_dict(), "head.bias": module.state_dict()["head.bias"].to(dtype)}, path, metadata)
        with pytest.raises(CheckpointError, match=rf"head\.bias is {str(dtype)[6:]}, but weights are .*floating point"):
            load(path)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"embed_dim": 10**6, "mlp_ratio": [10**6]}, "but its header asks for"),
        ({"embed_dim": 2**62}, "the header of .* is damaged|asks for"),
        ({"num_heads": [1] * 10**4, "mlp_ratio": [1] * 10**4, "depth": 10**4}, "declares 10,000 layers"),
        ({"embed_dim": 10**30}, "at most, got 1000000000000000000000000000000"),
    ],
)
def test_a_header_that_declares_a_huge_network_allocates_nothing(
    net: Supernet, tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    subnet = net.extract(net.space.smallest)
    path = subnet.save(tmp_path / "net")
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["nasformer"])
    header["architecture"] |= changed
    save_file(subnet.state_dict(), path, {"nasformer": json.dumps(header)})
    with pytest.raises(CheckpointError, match=words):
        load_network(path)


@pytest.mark.parametrize("size", [False, True, 0, 2.0])
def test_a_geometry_of_no_sizes_is_refused(net: Supernet, tmp_path: Path, size: object) -> None:
    path = (subnet := net.extract(net.space.smallest)).save(tmp_path / "net")
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["nasformer"])
    header["geometry"]["patch_size"] = size
    save_file(subnet.state_dict(), path, {"nasformer": json.dumps(header)})
    with pytest.raises(CheckpointError, match=f"patch_size is a whole number from 1 to 1,000,000,000, got {size}"):
        load_network(path)


def test_what_is_no_file_of_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "lfs").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    for name, words in (("lfs", "a Git LFS pointer"), ("absent", "No such file"), (".", "Is a directory")):
        with pytest.raises(CheckpointError, match=rf"cannot read the checkpoint .*: .*{words}"):
            load_network(tmp_path / name)


def test_a_failed_write_keeps_what_was_there(net: Supernet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = net.save(tmp_path / "net")
    before = path.read_bytes()

    def full(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CheckpointError, match=r"cannot write .*net: No space left on device"):
        Supernet(net.space, seed=9).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
