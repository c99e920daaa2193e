"""Folders of images to read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakeFolder = Callable[..., Path]


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Write ``n`` images a class into each named folder."""

    def make(splits: dict[str, int], classes: tuple[str, ...] = ("cat", "dog")) -> Path:
        generator = np.random.default_rng(0)
        for split, n in splits.items():
            for name in classes:
                (tmp_path / split / name).mkdir(parents=True)
                for index in range(n):
                    pixels = generator.integers(0, 255, (20, 24, 3), dtype=np.uint8)
                    Image.fromarray(pixels).save(tmp_path / split / name / f"{index}.png")
        return tmp_path

    return make
