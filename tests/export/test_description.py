"""Description of an export: what is damaged is one line, before anything is computed by it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nasformer.data import load_dataset
from nasformer.errors import ExportError
from nasformer.export.description import Description
from nasformer.export.preprocessing import Preprocessing
from nasformer.space import load_space


def description() -> dict[str, Any]:
    space = load_space("digits")
    return Description(
        name="seven",
        format="safetensors",
        dtype="fp32",
        preprocessing=Preprocessing(channels=1, size=8, resize=8, mean=(0.3,), std=(0.4,)),
        task=load_dataset("digits").task,
        network={"geometry": space.geometry.to_dict(), "architecture": space.smallest.to_dict()},
    ).to_dict()


def test_a_description_comes_back_as_it_was() -> None:
    assert Description.from_json(json.dumps(description()), "file").to_dict() == description()


@pytest.mark.parametrize(
    ("part", "change", "words"),
    [
        ("preprocessing", {"std": [0.0]}, r"standard deviation \(0\.0,\)"),
        ("preprocessing", {"mean": [float("nan")]}, "numbers are finite, got nan"),
        ("preprocessing", {"mean": ["x"]}, "must be real number"),
        ("preprocessing", {"mean": [0.1, 0.2], "std": [1, 1]}, "of 1 channels"),
        ("preprocessing", {"size": 10**9}, "images of 1 channels and 1000000000"),
        ("preprocessing", {"resize": 10**9}, "8 of 1000000000 pixels"),
        ("preprocessing", {"channels": 1.0}, "preprocessing is"),
        ("preprocessing", {"interpolation": "none"}, "interpolation is 'none'"),
        ("network", {"geometry": 3}, "a geometry is a mapping of sizes, got 3"),
        ("network", {"geometry": {"image_size": 10**30}}, "image_size is a whole number"),
        ("provenance", {"data": "digits"}, "data is 'digits'"),
        (None, {"name": 3}, "name is 3"),
        (None, {"dtype": "fp8"}, "dtype 'fp8'"),
        (None, {"network": [1]}, r"network is \[1\]"),
        (None, {"format_version": "new"}, "'new'"),
    ],
)
def test_what_is_damaged_is_one_line(part: str | None, change: dict[str, Any], words: str) -> None:
    data = description()
    (data if part is None else data[part]).update(change)
    with pytest.raises(ExportError, match=rf"^the description in file is damaged \(.*{words}.*\); export it again$"):
        Description.from_json(json.dumps(data), "file")
