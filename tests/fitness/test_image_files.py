"""Images of files are decoded once, and are worth what they are worth when read one by one."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nasformer._home import home
from nasformer.data import load_dataset
from nasformer.data.decoded import DecodedImages
from nasformer.data.prefetch import THREAD
from nasformer.errors import DataError
from nasformer.fitness import InheritedFitness
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.supernet import Supernet
from nasformer.training.validation import evaluate


@pytest.fixture
def space() -> SearchSpace:
    return SearchSpace(
        "thumbnails",
        embed_dim=choice(8, 16),
        depth=choice(1, 2),
        num_heads=per_layer(1, 2),
        mlp_ratio=per_layer(1, 2),
        head_dim=8,
        image_size=16,
        patch_size=4,
        in_channels=3,
        num_classes=2,
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for name, images in (("train", 2), ("val", 30), ("test", 1)):
        for label in ("cat", "dog"):
            (tmp_path / name / label).mkdir(parents=True)
            for index in range(images):
                pixels = generator.integers(0, 256, (24, 30, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / name / label / f"{index}.png")
    return tmp_path


@pytest.mark.parametrize("racing", [False, {"first": 10}])
def test_values_are_those_of_the_files(space: SearchSpace, root: Path, racing: bool | dict[str, int]) -> None:
    net, split = Supernet(space), load_dataset(f"imagefolder:{root}", image_size=16).search
    options = {"device": "cpu", "batch_size": 7, "objective": "loss", "racing": racing}
    fast, plain = (InheritedFitness(net, split, decoded=each, **options) for each in (True, False))  # type: ignore[arg-type]
    assert isinstance(fast.split, DecodedImages)
    assert plain.split is split
    assert [path.suffix for path in (home() / "decoded").iterdir() if path.stat().st_size] == [".npy"]
    population = space.sample(6, seed=0)
    own, reference = ([(e.value, e.metrics) for e in each.evaluate(population)] for each in (fast, plain))
    assert own == reference
    assert fast.describe() == plain.describe()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(THREAD)]


def test_validation_takes_them_too(space: SearchSpace, root: Path) -> None:
    net, split = Supernet(space), load_dataset(f"imagefolder:{root}", image_size=16).search
    kept = InheritedFitness(net, split, device="cpu").split
    architecture = space.sample(1, seed=0)[0]
    scores = [evaluate(net, each, architecture, batch_size=8) for each in (split, kept)]
    assert scores[0] == scores[1]
    assert torch.is_grad_enabled()


def test_an_unreadable_image_is_named_before_a_search_begins(space: SearchSpace, root: Path) -> None:
    split = load_dataset(f"imagefolder:{root}", image_size=16).search
    (root / "val" / "dog" / "3.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"^cannot read the image .*val/dog/3\.png: "):
        InheritedFitness(Supernet(space), split, device="cpu")
