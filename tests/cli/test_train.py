"""``nasformer train`` on a folder of images augments as the recipe says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from nasformer.data import Dataset, load_dataset
from nasformer.space import load_space
from tests.cli.conftest import Command


def test_a_recipe_says_how_a_folder_of_images_is_augmented(
    nasformer: Command, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, seen = np.random.default_rng(0), list[Dataset]()
    for part in ("train", "test"):
        for label in "01":
            folder = Path("images", part, label)
            folder.mkdir(parents=True)
            for number in range(10):
                Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(folder / f"{number}.png")

    def load(*arguments: Any, **options: Any) -> Dataset:
        seen.append(load_dataset(*arguments, **options))
        return seen[-1]

    monkeypatch.setattr("nasformer.data.load_dataset", load)
    declared = {**load_space("digits").to_dict(), "in_channels": 3, "num_classes": 2}
    Path("space.yaml").write_text(yaml.safe_dump(declared))
    recipe = {"epochs": 1, "warmup_epochs": 0, "batch_size": 6, "auto_augment": None, "random_erasing": 0.0}
    Path("recipe.yaml").write_text(yaml.safe_dump(recipe))
    for auto_augment in (None, "rand-m9-n7"):
        Path("recipe.yaml").write_text(yaml.safe_dump({**recipe, "auto_augment": auto_augment}))
        arguments = ["--data", "imagefolder:images", "--recipe", "recipe.yaml", "--out", f"run-{auto_augment}"]
        done = nasformer("train", "space.yaml", *arguments, "--device", "cpu", "-q")
        assert done.code == 0, done.err
    plain, augmented = (str(data.train.transform) for data in seen)  # type: ignore[attr-defined]
    assert "RandAugment" not in plain
    assert "RandAugment(n=7" in augmented
    assert "RandomErasing" not in plain + augmented
