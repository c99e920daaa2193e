"""Splits by name: images go, come and move, and what is left keeps its side; copies and unreadable images are found."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nasformer.data import Dataset, load_dataset
from nasformer.data.examine import examine, examined
from nasformer.data.held_out import as_recorded, held_out, is_of, ranked_as_recorded, read_held_out, without
from nasformer.data.image_files import ImageFiles
from nasformer.errors import DataError
from nasformer.training.opening import open_dataset
from tests.data.test_image_folder import fill, image, load, names


def reopened(root: Path, before: Dataset) -> Dataset:
    return open_dataset(str(root), before.record, "net.safetensors", held_out=held_out(before), image_size=8)


def test_a_removed_file_costs_no_supernet(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = load(fill(tmp_path / "d", {"train": 20, "test": 4}))
    assert reopened(tmp_path / "d", before).record == before.record
    (tmp_path / "d" / names(before)["train"][0]).unlink()
    image(tmp_path / "d" / "train" / "a" / "new.png")
    with caplog.at_level(logging.WARNING):
        after = reopened(tmp_path / "d", before)
    assert names(after)["search"] == names(before)["search"]
    assert names(after)["test"] == names(before)["test"]
    assert "train/a/new.png" in names(after)["train"]
    recorded = read_held_out(str(held_out(before)))
    assert after.record["fingerprint"] != before.record["fingerprint"], "what trains has changed"
    assert ranked_as_recorded(after, recorded, before.record).record == before.record, "what ranks has not"
    assert "keeps the splits of the training" in caplog.text
    caplog.clear()
    (tmp_path / "d" / names(before)["search"][0]).unlink()
    with caplog.at_level(logging.WARNING):
        fewer = reopened(tmp_path / "d", before)
    assert names(fewer)["search"] == names(before)["search"][1:]
    assert ranked_as_recorded(fewer, recorded, before.record).record == fewer.record != before.record
    assert "1 of 4 search images are gone" in caplog.text


@settings(max_examples=10, deadline=None)
@given(gone=st.sets(st.integers(0, 47), max_size=30), seed=st.integers(0, 3))
def test_no_train_image_ever_ranks(gone: set[int], seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = fill(tmp_path_factory.mktemp("d"), {".": 24})
    before = load(root, seed=seed)
    sides = {name: key for key, part in names(before).items() for name in part}
    for number in gone:
        (root / sorted(sides)[number]).unlink()
    try:
        after = reopened(root, before)
    except DataError as error:
        if not any(words in str(error) for words in ("image of", "too few", "contains no images")):
            raise
        return
    assert all(sides[name] == key for key, part in names(after).items() for name in part)


def test_moved_data_are_the_same_data(tmp_path: Path) -> None:
    before = load(fill(tmp_path / "old", {".": 10}), seed=3)
    shutil.move(tmp_path / "old", tmp_path / "new")
    after = reopened(tmp_path / "new", before)
    assert names(after) == names(before)
    other = load(fill(tmp_path / "other", {"train": 5, "test": 2}))
    recorded = read_held_out(str(held_out(before)))
    assert is_of(after, recorded, before.record)
    assert not is_of(other, recorded, before.record)
    same_names = load(fill(tmp_path / "same", {".": 10}, ("a", "c")))
    assert not is_of(same_names, recorded, before.record), "other classes"


def test_damaged_names_are_one_line() -> None:
    for text in ("", "junk", "Wp`)$8~t"):
        with pytest.raises(DataError, match="names of the search images in the weights' file are damaged"):
            read_held_out(text)
    assert held_out(load_dataset("digits")) is None


def test_nothing_left_of_a_split_is_an_error(tmp_path: Path) -> None:
    data = load(fill(tmp_path, {"train": 5, "test": 2}))
    with pytest.raises(DataError, match=r"no test image of .* is left"):
        without(data, names(data)["test"])
    with pytest.raises(DataError, match=r"no search image of .* is left"):
        as_recorded(data, {"search": ["gone.png"], "test": names(data)["test"]}, data.record)


def test_unreadable_images_are_named_all_at_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = fill(tmp_path, {"train": 10, "test": 3})
    for name in ("train/a/1.png", "train/b/2.png", "test/a/0.png"):
        (root / name).write_bytes(b"no image")
    data = load(root)
    names_of = ("train/a/1.png", "train/b/2.png", "test/a/0.png")
    with pytest.raises(DataError, match=r"3 images of .* cannot be read: .*--skip-unreadable") as caught:
        examined(data)
    assert all(name in str(caught.value) for name in names_of)
    assert not caplog.records
    for number in range(10):
        (root / f"train/a/{number}.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"12 images of .* cannot be read: those above; .*--skip-unreadable"):
        examined(load(root))
    assert [f"train/a/{number}.png" in caplog.text for number in range(10)] == [True] * 10
    for number in {*range(10)} - {1}:
        image(root / f"train/a/{number}.png")
    data = load(root)
    with caplog.at_level(logging.WARNING):
        clean = examined(data, skip_unreadable=True)
    assert clean.record["skipped"] == ["test/a/0.png", "train/a/1.png", "train/b/2.png"]
    assert sum(clean.record["splits"].values()) == 23
    assert clean.record["fingerprint"] != data.record["fingerprint"]
    assert "3 unreadable images left out: test/a/0.png" in caplog.text
    again = reopened(root, clean)
    assert again.record["fingerprint"] == clean.record["fingerprint"]
    assert names(again) == names(clean)


def copied(root: Path, first: str, *others: str) -> None:
    for other in others:
        shutil.copy(root / first, root / other)


def test_copies_across_splits_are_found_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = fill(tmp_path, {"train": 8, "val": 3, "test": 3})
    copied(root, "train/a/0.png", "train/a/1.png", "val/a/0.png", "val/b/0.png")
    copied(root, "train/b/5.png", "test/b/1.png")
    data = load(root)
    found = examine(data)
    assert found is not None
    assert sorted(name for _, name in found.across("train", "search")[0]) == [
        *("train/a/0.png", "train/a/1.png"),
        *("val/a/0.png", "val/b/0.png"),
    ]
    with caplog.at_level(logging.WARNING):
        clean = examined(data)
    assert "2 train images are copies of search images and left out: train/a/0.png, train/a/1.png" in caplog.text
    assert "1 test images are copies of train images, as train/b/5.png = test/b/1.png" in caplog.text
    assert clean.record["splits"] == {"train": 14, "search": 6, "test": 6}
    for number in range(2, 8):
        copied(root, "val/a/1.png", f"train/a/{number}.png")
    with pytest.raises(DataError, match=r"no train image of class 'a' .* is left"):
        examined(load(root))


def test_what_was_seen_is_kept_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fill(tmp_path, {"train": 5, "test": 2})
    looks: list[Any] = []

    def look(*arguments: Any) -> tuple[str, int, int]:
        looks.append(arguments)
        return "PNG RGB", 8, 8

    monkeypatch.setattr("nasformer.data.examine.look", look)
    found = [examine(load(root)) for _ in range(2)]
    assert len(looks) == 14
    assert found[0] == found[1]
    assert found[0] is not None
    assert (found[0].kinds, found[0].widths) == ({"PNG RGB": 14}, [8] * 14)
    Image.new("RGB", (9, 9)).save(root / "train" / "a" / "0.png")
    examine(load(root))
    assert len(looks) == 28
    assert examine(load_dataset("digits")) is None
    data = load(root)
    assert isinstance(data.train, ImageFiles)


def test_a_fault_that_is_gone_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load(fill(tmp_path, {"train": 5, "test": 2}))
    real, broken = Image.open, [True]

    def opened(source: Any, **options: Any) -> Any:
        if broken[0] and "train/a/1.png" in str(source):
            raise OSError("Input/output error")
        return real(source, **options)

    monkeypatch.setattr(Image, "open", opened)
    with pytest.raises(DataError, match=r"1 images .* cannot be read: train/a/1.png \(Input/output error\)"):
        examined(data)
    broken[0] = False
    assert examined(data).record == data.record
    monkeypatch.setenv("NASFORMER_MAX_PIXELS", "10")
    with pytest.raises(DataError, match=r"14 images .* cannot be read"):
        examined(load(tmp_path))
    monkeypatch.delenv("NASFORMER_MAX_PIXELS")
    assert examined(load(tmp_path)).record == data.record


def test_a_table_keeps_what_its_weights_learnt(tmp_path: Path) -> None:
    fill(tmp_path / "d", {"": 30})
    rows = [(f"d/{name}/{number}.png", number + 5 * (name == "b")) for name in "ab" for number in range(30)]

    def table(count: int) -> Dataset:
        text = "\n".join(f"{file},{value}" for file, value in rows[:count])
        (tmp_path / "labels.csv").write_text(f"image,age\n{text}\n")
        return load(tmp_path / "labels.csv")

    before = table(50)
    table(60)
    after = reopened(tmp_path / "labels.csv", before)
    assert names(after)["search"] == names(before)["search"]
    assert len(after.train) == len(before.train) + 10
    assert after.task == before.task, "standardised as in the training"
    assert after.record["task"] == before.task.to_dict()
    assert after.record["fingerprint"] != before.record["fingerprint"]
