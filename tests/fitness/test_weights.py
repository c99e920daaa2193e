"""Weights by space: what was bound is found by the same dimensions under any name, and by no others."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from nasformer.errors import CheckpointError
from nasformer.fitness import bind_weights, find_weights
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet


def test_weights_are_found_by_the_dimensions_under_the_home(space: SearchSpace, net: Supernet, tmp_path: Path) -> None:
    assert find_weights(space) is None
    kept = bind_weights(space, net.save(tmp_path / "net.safetensors"))
    assert kept.is_relative_to(os.environ["NASFORMER_HOME"])
    assert find_weights(space) == kept
    renamed = SearchSpace.from_dict({**space.to_dict(), "name": "other", "constraints": "params <= 60K"})
    assert find_weights(renamed) == kept
    found = Supernet.load(kept, renamed)
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), net.parameters(), strict=True))
    assert find_weights(SearchSpace.from_dict({**space.to_dict(), "pooling": "cls"})) is None


def test_the_last_weights_bound_replace_the_others_and_outlive_their_file(
    space: SearchSpace, net: Supernet, tmp_path: Path
) -> None:
    bind_weights(space, Supernet(space, seed=9).save(tmp_path / "old.safetensors"))
    kept = bind_weights(space, net.save(tmp_path / "new.safetensors"))
    (tmp_path / "new.safetensors").unlink()
    assert torch.equal(Supernet.load(kept).head.weight, net.head.weight)
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


def test_another_home_knows_nothing(
    space: SearchSpace, net: Supernet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind_weights(space, net.save(tmp_path / "net.safetensors"))
    monkeypatch.setenv("NASFORMER_HOME", str(tmp_path / "elsewhere"))
    assert find_weights(space) is None


def test_weights_that_cannot_be_kept_are_an_error_and_the_earlier_ones_stay(
    space: SearchSpace, net: Supernet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = bind_weights(space, net.save(tmp_path / "net.safetensors"))
    with pytest.raises(CheckpointError, match=r"cannot copy .*absent\.safetensors to .*: No such file"):
        bind_weights(space, tmp_path / "absent.safetensors")
    with (
        small_disk(1000),
        pytest.raises(CheckpointError, match=r"cannot copy .*net\.safetensors to .*: File too large"),
    ):
        bind_weights(space, tmp_path / "net.safetensors")
    assert find_weights(space) == kept
    assert torch.equal(Supernet.load(kept).head.weight, net.head.weight)
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]
    (tmp_path / "file").touch()
    monkeypatch.setenv("NASFORMER_HOME", str(tmp_path / "file"))
    with pytest.raises(CheckpointError, match=r"cannot copy .*net\.safetensors to .*file/supernets.*: Not a directory"):
        bind_weights(space, tmp_path / "net.safetensors")


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Within the context no file of this process grows beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
