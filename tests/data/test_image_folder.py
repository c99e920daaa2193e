"""Folders as people have them: every image is used, or counted and named; no train image ranks architectures."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nasformer.data import Dataset, load_dataset
from nasformer.data.image_files import ImageFiles
from nasformer.errors import DataError

_COUNT = [0]


def image(path: Path) -> Path:
    """Write an image that no other equals."""
    _COUNT[0] += 1
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(_COUNT[0]).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def fill(root: Path, counts: dict[str, int], classes: tuple[str, ...] = ("a", "b")) -> Path:
    for folder, count in counts.items():
        for name in classes:
            for number in range(count):
                image(root / folder / name / f"{number}.png")
    return root


def load(root: Path | str, **options: object) -> Dataset:
    return load_dataset(str(root), image_size=8, **options)  # type: ignore[arg-type]


def names(data: Dataset) -> dict[str, list[str]]:
    return {key: split.names for key, split in data.splits.items() if isinstance(split, ImageFiles)}


@pytest.mark.parametrize(
    ("folders", "splits"),
    [
        ({"train": 10, "val": 4, "test": 3}, {"train": 20, "search": 8, "test": 6}),
        ({"Training": 10, "validation": 4, "Testing": 3}, {"train": 20, "search": 8, "test": 6}),
        ({"TRAIN": 10, "eval": 3}, {"train": 18, "search": 2, "test": 6}),
        ({"train": 10, "valid": 3}, {"train": 18, "search": 2, "test": 6}),
        ({"train": 10}, {"train": 12, "search": 4, "test": 4}),
        ({".": 10}, {"train": 12, "search": 4, "test": 4}),
    ],
)
def test_layouts_under_their_usual_names(tmp_path: Path, folders: dict[str, int], splits: dict[str, int]) -> None:
    data = load(fill(tmp_path, folders))
    assert data.record["splits"] == splits
    assert [*data.record["splits"]] == ["train", "search", "test"]
    assert data.classes == ["a", "b"]
    every = [name for part in names(data).values() for name in part]
    assert len({*every}) == len(every) == sum(splits.values())
    assert load(tmp_path).record == data.record


def test_a_class_may_have_the_name_of_a_split(tmp_path: Path) -> None:
    data = load(fill(tmp_path, {".": 10}, ("car", "plane", "train")))
    assert data.classes == ["car", "plane", "train"]


def test_a_folder_needs_no_prefix_and_is_recorded_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "photos", {"train": 5, "test": 2})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    every = [load(name).record for name in ("photos", "./photos", "~/photos", "imagefolder:photos")]
    assert every[0]["name"] == f"imagefolder:{tmp_path / 'photos'}"
    assert every[1:] == every[:1] * 3
    with pytest.raises(DataError, match=r"there is no folder or file .*/absent$"):
        load("./absent")
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"notes\.txt is neither a folder of images nor a \.csv or \.parquet file"):
        load("notes.txt")


@pytest.mark.parametrize("fractions", [{"search_fraction": 0.0}, {"test_fraction": 0.0}, {"test_fraction": 1.0}])
def test_a_held_out_fraction_leaves_something_on_both_sides(tmp_path: Path, fractions: dict[str, float]) -> None:
    with pytest.raises(DataError, match="held-out fractions must be positive and sum to less than 1"):
        load(fill(tmp_path, {"train": 10}), **fractions)


def test_whatever_is_left_out_is_counted_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = fill(tmp_path / "d", {"train": 10, "test": 2})
    for number in range(3):  # used, as Pillow reads them
        image(root / "train" / "a" / f"{number}.gif")
        image(root / "train" / "b" / f"{number}.jfif")
    image(root / "train" / "a" / "deeper" / "0.png")
    image(root / "train" / "a" / "looks.png" / "0.png")
    for number in range(4):
        image(tmp_path / "store" / f"{number}.png")
    (root / "train" / "b" / "linked").symlink_to(tmp_path / "store")
    (root / "train" / "b" / "loop").symlink_to(root / "train" / "b")
    (root / "train" / "a" / "again.png").symlink_to(root / "train" / "a" / "0.png")
    (root / "test" / "a" / "leak.png").symlink_to(root / "train" / "a" / "1.png")
    image(root / "train" / "a" / ".ipynb_checkpoints" / "0-checkpoint.png")
    (root / "train" / "a" / "._0.png").write_bytes(b"\x00\x05\x16\x07")
    (root / "train" / "a" / "notes.txt").write_text("")
    image(root / "train" / "stray.png")
    (root / "readme.md").write_text("")
    os.mkfifo(root / "train" / "b" / "pipe.png")
    with caplog.at_level(logging.WARNING):
        data = load(root)
    assert sum(data.record["splits"].values()) == 24 + 6 + 2 + 4
    assert data.left_out == {
        "hidden": 2,
        ".txt": 1,
        "beside the class folders": 1,
        "beside the splits": 1,
        "links to images that are there": 2,
        "no files": 1,
    }
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "8 of 44 files left out: 2 hidden" in told[0]
    assert "images in subfolders (deeper, linked, looks.png) count as their class" in told[1]
    names_of = names(data)
    real = {key: {os.path.realpath(root / name) for name in part} for key, part in names_of.items()}
    assert not real["train"] & real["search"]
    assert not (real["train"] | real["search"]) & real["test"]


@pytest.mark.parametrize("linked", ["val", "val/a"])
def test_a_link_to_train_images_is_no_other_split(tmp_path: Path, linked: str) -> None:
    root = fill(tmp_path, {"train": 5, "test": 2})
    if linked == "val":
        (root / "val").symlink_to(root / "train")
        with pytest.raises(DataError, match=r"all images of .*/val/a are links to images of another class or split"):
            load(root)
        return
    (root / "val" / "a").mkdir(parents=True)
    fill(root, {"val": 2}, ("b",))
    (root / "val" / "a").rmdir()
    (root / linked).symlink_to(root / "train" / "a")
    with pytest.raises(DataError, match=r"all images of .*/val/a are links to images of another class or split"):
        load(root)


@pytest.mark.parametrize("target", ["..", "../b", "../../train/b", "../.."])
def test_a_link_relabels_no_image(tmp_path: Path, target: str) -> None:
    root = fill(tmp_path, {"train": 6, "test": 2})
    (root / "train" / "a" / "all").symlink_to(target)
    data = load(root)
    assert data.record["splits"] == {"train": 10, "search": 2, "test": 4}
    assert isinstance(data.train, ImageFiles)
    assert all(
        name.split("/")[1] == "ab"[label] for name, label in zip(data.train.names, data.train.targets, strict=True)
    )


def test_a_folder_in_a_folder_is_unwrapped(tmp_path: Path) -> None:
    fill(tmp_path / "one" / "data", {"train": 5, "test": 2})
    data = load(tmp_path)
    assert data.classes == ["a", "b"]
    assert data.record["name"] == f"imagefolder:{tmp_path}"
    assert load(str(data.record["name"])).record == data.record


def test_faults_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*/d$"):
        load(f"imagefolder:{tmp_path / 'd'}")
    root = fill(tmp_path / "d", {"val": 2, "test": 2})
    with pytest.raises(DataError, match=r"has test/ but no train/ with a folder per class"):
        load(root)
    fill(root, {"train": 4, "Training": 4})
    with pytest.raises(DataError, match=r"two folders for train images, Training/ and train/"):
        load(root)
    image(tmp_path / "loose" / "0.png")
    with pytest.raises(DataError, match=r"loose has 1 images but no folders; it must have one folder per class"):
        load(tmp_path / "loose")
    fill(tmp_path / "few", {".": 5})
    for path in (tmp_path / "few" / "a").iterdir():
        path.unlink()
    (tmp_path / "few" / "a" / "x.txt").write_text("")
    with pytest.raises(DataError, match=r"class folder .*/a contains no images, only 1 \.txt; fill or remove it"):
        load(tmp_path / "few")
    image(tmp_path / "few" / "a" / "0.png")
    with pytest.raises(DataError, match=r"class 'a' has 1 images, too few .*; add images, or remove it"):
        load(tmp_path / "few")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    root = fill(tmp_path / "d", {"train": 4, "test": 2})
    (root / "train" / "a").chmod(0)
    with pytest.raises(DataError, match=r"cannot read the folder .*/train/a: Permission denied"):
        load(root)


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    root = fill(tmp_path / "d", {"train": 6, "test": 2})
    os.rename(root / "train" / "a" / "0.png", os.fsencode(root / "train" / "a") + b"/caf\xe9.png")
    data = load(root)
    assert "train/a/caf\udce9.png" in [name for part in names(data).values() for name in part]
    assert len(data.record["fingerprint"]) == 64


@settings(max_examples=25, deadline=None)
@given(drawn=st.data())
def test_every_file_is_an_image_or_counted(drawn: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("generated")
    fill(root, {"train": 6, "test": 2})
    kinds = st.sampled_from(["x.png", "X.JPG", "x.gif", "x.txt", "x", ".x.png", "._x.jpg", "x.eps", "x.png.bak"])
    places = st.sampled_from(
        ["", "train", "train/a", "train/b/deep", "train/a/.hid", "test/a", "test/b/x.png", "other"]
    )
    for number, (place, kind) in enumerate(drawn.draw(st.lists(st.tuples(places, kinds), max_size=12))):
        prefix = "." if kind.startswith(".") else ""
        path = root / place / f"{prefix}{number}{kind.removeprefix('.')}"
        path.parent.mkdir(parents=True, exist_ok=True)
        image(root / "made.png").rename(path)
    files = sum(1 for path in root.rglob("*") if path.is_file())
    found = load(root)
    used = sum(found.record["splits"].values())
    assert used + sum(found.left_out.values()) == files


def test_grey_images_for_grey_networks(tmp_path: Path) -> None:
    data = load(fill(tmp_path, {"train": 5, "test": 2}), in_channels=1)
    assert data.input_shape == (1, 8, 8)
    assert isinstance(data.train, ImageFiles)
    assert data.train.augmented("rand-m9-mstd0.5-inc1", 0.5)[0][0].shape == (1, 8, 8)
    assert len(data.record["mean"]) == 1
    with pytest.raises(DataError, match="has images of 1 or 3 channels, not 4"):
        load(tmp_path, in_channels=4)


def test_augmentation_is_the_recipe_s(tmp_path: Path) -> None:
    fill(tmp_path, {"train": 5, "test": 2})
    with pytest.raises(DataError, match=r"auto_augment is an option of the recipe, not of the data"):
        load(tmp_path, auto_augment=None)
