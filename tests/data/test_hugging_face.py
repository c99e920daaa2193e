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
from nasformer.data.examine import examined
from nasformer.data.held_out import image_splits
from nasformer.errors import DataError

datasets = pytest.importorskip("datasets")


def table(count: int, start: int = 0, *, names: list[str] | None = None) -> Any:
    images, labels = [], []
    for number in range(start, start + count):
        content = io.BytesIO()
        pixels = np.random.default_rng(number).integers(0, 256, (10, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(content, "PNG")
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
    seen = []
    for key, split in (image_splits(data) or {}).items():
        for place, name in enumerate(split.names):
            part, row = name.split("/")
            assert split.targets[place] == int(row) % 2
            seen.append((part, row))
        assert key
    assert len({*seen}) == sum(splits.values())
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
