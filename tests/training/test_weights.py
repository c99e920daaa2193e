"""Kept weights: found by the dimensions of a space, whatever its name, and by their data; named, listed, removed."""

from __future__ import annotations

import itertools
import os
import re
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from nasformer.data import Dataset
from nasformer.errors import CheckpointError, FitnessError
from nasformer.space import SearchSpace, load_space
from nasformer.supernet import Supernet
from nasformer.training import Recipe, bind_weights, find_weights, train_supernet
from nasformer.training.opening import supernet_file
from nasformer.training.weights import find_kept, keep_weights, kept_supernets, name_weights, named_weights
from tests.tiny import tiny_space


@pytest.fixture
def space() -> SearchSpace:
    return load_space("digits")


@pytest.fixture
def net(space: SearchSpace) -> Supernet:
    return Supernet(space, seed=1)


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
    with pytest.raises(CheckpointError, match=r"cannot read the checkpoint .*absent\.safetensors: No such file"):
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


Keep = Callable[..., Path]


@pytest.fixture
def keep(space: SearchSpace) -> Keep:
    """Keep weights that were trained on data of a name, each newer than those before."""
    start, count = 1_000_000_000, itertools.count()

    def kept(data: str | None, fingerprint: str = "0", declared: SearchSpace = space) -> Path:
        net = Supernet(declared, seed=next(count))
        net.metadata = {} if data is None else {"training": {"data": {"name": data, "fingerprint": fingerprint}}}
        path = keep_weights(net)
        os.utime(path, (start, start + next(count)))
        return path

    return kept


def test_weights_of_other_data_stay(space: SearchSpace, keep: Keep) -> None:
    digits, pets, imported = keep("digits"), keep("imagefolder:/pets"), keep(None)
    assert find_weights(space, "digits") == digits
    assert find_weights(space, "imagefolder:/x/../pets") == pets
    assert find_weights(space, "fashion-mnist") is None
    assert len({digits, pets, imported}) == 3
    assert keep("digits") == digits, "the same data: replaced"


def test_without_data_the_only_ones_or_those_of_the_dataset_with_the_name_of_the_space(
    space: SearchSpace, keep: Keep
) -> None:
    pets = keep("imagefolder:/pets")
    assert find_weights(space) == pets
    imported = keep(None)
    with pytest.raises(FitnessError, match=f"{space.name!r} has weights of imagefolder:/pets, unknown data; choose"):
        find_weights(space)
    imported.write_bytes(b"damaged")
    assert find_weights(space) == pets
    own = keep(space.name)
    keep("zoo")
    assert find_weights(space) == own
    assert supernet_file(space, data="zoo-2") == own


def test_of_several_on_the_same_data_the_same_splits_then_the_same_name_then_the_newest(
    space: SearchSpace, keep: Keep
) -> None:
    age, weight = keep("table:/t.csv?targets=age", "1"), keep("table:/t.csv?targets=weight", "2")
    newest = keep("table:/t.csv?targets=height", "3")
    assert find_weights(space, "table:/t.csv") == newest
    assert find_weights(space, "table:/t.csv?targets=weight") == weight
    assert find_weights(space, {"name": "table:/t.csv?targets=weight", "fingerprint": "1"}) == age
    assert find_weights(space, {"name": "table:/t.csv?targets=age", "fingerprint": "?"}) == age


def test_weights_of_0_1_are_found(space: SearchSpace, keep: Keep) -> None:
    path = keep("digits")
    old = path.rename(path.with_name(f"{space.fingerprint}.safetensors"))
    assert find_weights(space) == find_weights(space, "digits") == old
    new = keep("digits")
    assert (find_weights(space), old.exists()) == (new, True)


def test_what_has_a_name_is_not_replaced(space: SearchSpace, keep: Keep) -> None:
    path = keep("digits")
    (kept,) = kept_supernets(space)
    content = path.read_bytes()
    named = name_weights(kept, "good_one")
    assert find_weights(space) == named
    assert find_kept("good_one").id == kept.id == find_kept(kept.id[:5]).id
    newer = keep("digits")
    assert find_weights(space) == newer != named
    assert named.read_bytes() == content
    assert named_weights(Path("good_one")) == named
    with pytest.raises(CheckpointError, match="another supernet has the name 'good_one'"):
        name_weights(find_kept(kept_supernets()[0].id), "good_one")
    for wrong in ("", "1st", "a/b", "a.b", "é", "a" * 65, "a\n"):
        with pytest.raises(CheckpointError, match=f"a name is a letter.*got {re.escape(repr(wrong))}"):
            name_weights(kept, wrong)


def test_an_id_that_there_is_not_or_not_alone(keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="no kept supernet has the name or id 'x'; none are kept"):
        find_kept("x")
    for number in range(17):
        keep(f"data-{number}")
    (first, *_) = {a.id[0] for a, b in itertools.combinations(kept_supernets(), 2) if a.id[0] == b.id[0]}
    with pytest.raises(CheckpointError, match=rf"'{first}' is the start of \d+ ids of kept supernets; write more"):
        find_kept(first)


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """Within the context no file of this process grows beyond so many bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_training_with_a_folder_is_kept_for_searches(data: Dataset, tmp_path: Path) -> None:
    space, recipe = tiny_space(), Recipe(epochs=1, batch_size=16)
    train_supernet(Supernet(space), data, recipe, device="cpu", progress=False)
    train_supernet(Supernet(space), data, recipe, device="cpu", progress=False, out=tmp_path / "mute", keep=False)
    assert find_weights(space) is None
    net = Supernet(space)
    train_supernet(net, data, recipe, device="cpu", progress=False, out=tmp_path / "out")
    kept = find_weights(space)
    assert kept is not None
    assert kept.read_bytes() == (tmp_path / "out" / "supernet.safetensors").read_bytes()
    assert net.file == (tmp_path / "out" / "supernet.safetensors").absolute()


def test_a_home_that_cannot_be_written_costs_no_training(
    data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "home").write_text("a file")
    monkeypatch.setenv("NASFORMER_HOME", str(tmp_path / "home"))
    train_supernet(
        Supernet(tiny_space()),
        data,
        Recipe(epochs=1, batch_size=16),
        device="cpu",
        progress=False,
        out=tmp_path / "out",
    )
    file = tmp_path / "out" / "supernet.safetensors"
    assert f"searches need --supernet {file}" in caplog.text
    assert file.is_file()
