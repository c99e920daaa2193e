"""Datasets of Hugging Face: saved to disk or as Parquet files, read without a network."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nasformer.data import iterate, load_dataset
from nasformer.data.examine import examine, examined
from nasformer.data.held_out import held_out, image_splits
from nasformer.errors import DataError
from nasformer.training.opening import open_dataset

datasets = pytest.importorskip("datasets", reason="datasets comes with nasformer[datasets]")


def pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (10, 12, 3), dtype=np.uint8)


def table(count: int, start: int = 0, *, names: list[str] | None = None) -> Any:
    images, labels = [], []
    for number in range(start, start + count):
        content = io.BytesIO()
        Image.fromarray(pixels(number)).save(content, "PNG")
        images.append({"bytes": content.getvalue(), "path": None})
        labels.append(number % 2)
    label = datasets.ClassLabel(names=["cat", "dog"]) if names is None else datasets.Value("string")
    values = labels if names is None else [names[each] for each in labels]
    features = datasets.Features({"img": datasets.Image(), "label": label})
    return datasets.Dataset.from_dict({"img": images, "label": values}, features=features)


@pytest.mark.parametrize("form", ["dict", "one", "parquet"])
def test_a_saved_dataset_is_read(tmp_path: Path, form: str) -> None:
    if form == "dict":
        datasets.DatasetDict(train=table(20), validation=table(6, 20), test=table(8, 26)).save_to_disk(tmp_path / "d")
        splits = {"train": 20, "search": 6, "test": 8}
    elif form == "one":
        table(20).save_to_disk(tmp_path / "d")
        splits = {"train": 12, "search": 4, "test": 4}
    else:
        (tmp_path / "d" / "data").mkdir(parents=True)
        table(20).to_parquet(tmp_path / "d" / "data" / "train-00000-of-00001.parquet")
        table(8, 20).to_parquet(tmp_path / "d" / "data" / "test-00000-of-00001.parquet")
        splits = {"train": 18, "search": 2, "test": 8}
    data = load_dataset(str(tmp_path / "d"), image_size=8)
    assert data.record["splits"] == splits
    assert data.record["name"] == f"huggingface:{tmp_path / 'd'}?image=img&label=label"
    assert data.classes == ["cat", "dog"]
    assert load_dataset(data.record["name"], image_size=8).record == data.record
    names = [name for split in (image_splits(data) or {}).values() for name in split.names]
    assert len({*names}) == sum(splits.values())
    rows = {pixels(number).tobytes(): number for number in range(40)}
    for split in (image_splits(data) or {}).values():
        for place, target in enumerate(split.targets):
            assert target == rows[np.asarray(split.read(place)).tobytes()] % 2
    assert examined(data).record == data.record
    serial = [images for images, _ in iterate(data.train, 4, seed=1)]
    assert all(map(torch.equal, serial, [images for images, _ in iterate(data.train, 4, seed=1, readers=1)]))


def test_classes_may_be_words(tmp_path: Path) -> None:
    table(20, names=["yes", "no"]).save_to_disk(tmp_path / "d")
    assert load_dataset(str(tmp_path / "d"), image_size=8).classes == ["no", "yes"]


def test_faults_are_named(tmp_path: Path) -> None:
    table(20).rename_column("img", "photo").rename_column("label", "y").save_to_disk(tmp_path / "d")
    name = f"huggingface:{tmp_path / 'd'}"
    with pytest.raises(DataError, match="has no column 'labels'"):
        load_dataset(f"{name}?label=labels")
    with pytest.raises(DataError, match="has no option 'labels'; did you mean 'label'"):
        load_dataset(f"{name}?labels=y")
    table(20).remove_columns("label").save_to_disk(tmp_path / "e")
    with pytest.raises(DataError, match=r"has no column of classes, only img; name it with \?label=COLUMN"):
        load_dataset(str(tmp_path / "e"))
    datasets.DatasetDict(train=table(8), extra=table(2)).save_to_disk(tmp_path / "f")
    with pytest.raises(DataError, match="has an unknown split 'extra'"):
        load_dataset(str(tmp_path / "f"))
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "train.parquet").write_bytes(b"no table")
    with pytest.raises(DataError, match="cannot read the dataset"):
        load_dataset(str(tmp_path / "g"))


@pytest.mark.parametrize("change", ["first row gone", "reversed"])
def test_rows_that_move_never_rank(tmp_path: Path, change: str) -> None:
    table(60).save_to_disk(tmp_path / "d")
    before = load_dataset(str(tmp_path / "d"), image_size=8)
    sides = {name: key for key, split in (image_splits(before) or {}).items() for name in split.names}
    rows = [*range(1, 60)] if change == "first row gone" else [*range(60)][::-1]
    table(60).select(rows).flatten_indices().save_to_disk(tmp_path / "new")
    moved = (str(tmp_path / "new"), before.record, "net.safetensors")
    after = open_dataset(*moved, held_out=held_out(before), image_size=8)
    found = {name: key for key, split in (image_splits(after) or {}).items() for name in split.names}
    assert len(found) == len(rows)
    assert all(sides[name] == key for name, key in found.items())


def test_copies_in_two_splits_are_found(tmp_path: Path) -> None:
    datasets.DatasetDict(train=table(20), validation=table(4, 18), test=table(8, 26)).save_to_disk(tmp_path / "d")
    found = examine(load_dataset(str(tmp_path / "d"), image_size=8))
    assert found is not None
    assert len(found.across("train", "search")) == 2
    assert not found.across("train", "test")
