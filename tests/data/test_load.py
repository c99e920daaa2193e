"""The built-in datasets: where they come from, how they are split, and what is said when they cannot be read."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nasformer.data import ImagesInMemory, fashion_mnist, iterate, load_dataset
from nasformer.data.image_files import ImageFiles
from nasformer.errors import DataError

MakeFolder = Callable[..., Path]


def tensors(split: object) -> ImagesInMemory:
    assert isinstance(split, ImagesInMemory)
    return split


def test_digits_are_split_without_overlap_and_normalised_by_the_train_images() -> None:
    data = load_dataset("digits")
    assert data.record["splits"] == {"train": 1078, "search": 360, "test": 359}
    assert (data.num_classes, data.image_size, data.in_channels) == (10, 8, 1)
    train = tensors(data.train).images
    assert float(train.mean()) == pytest.approx(0, abs=1e-5)
    assert float(train.std()) == pytest.approx(1, abs=1e-3)
    rows = [{tuple(x.flatten().tolist()) for x in tensors(split).images} for split in data.splits.values()]
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]
    assert torch.bincount(tensors(data.search).labels).min() >= 34


def test_the_splits_follow_the_seed_and_are_recorded() -> None:
    first, again, other = (load_dataset("digits", seed=seed) for seed in (0, 0, 1))
    assert first.record == again.record
    assert first.record["fingerprint"] != other.record["fingerprint"]
    assert other.record["seed"] == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [("digit", "unknown dataset 'digit'; did you mean 'digits'"), ("fashoin-mnist", "did you mean 'fashion-mnist'")],
)
def test_an_unknown_name_gets_the_nearest(name: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        load_dataset(name)


def test_options_that_do_not_apply_are_refused() -> None:
    with pytest.raises(DataError, match="images of 'digits' are 8 pixels wide, not 32"):
        load_dataset("digits", image_size=32)
    with pytest.raises(DataError, match="'digits' has no option 'test_fraction'"):
        load_dataset("digits", test_fraction=0.5)


def write_idx(folder: Path, *, packed: bool = True, labels: int = 60) -> None:
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for stem, n in (("train", 60), ("t10k", 20)):
        n_labels = labels if stem == "train" else n
        contents = {
            f"{stem}-images-idx3-ubyte": generator.integers(0, 255, (n, 28, 28), dtype=np.uint8),
            f"{stem}-labels-idx1-ubyte": (np.arange(n_labels) % 10).astype(np.uint8),
        }
        for name, array in contents.items():
            content = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
            path = folder / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(content) if packed else content)


@pytest.mark.parametrize("packed", [True, False])
def test_fashion_mnist_is_read_from_a_torchvision_root(tmp_path: Path, packed: bool) -> None:
    write_idx(tmp_path / "FashionMNIST" / "raw", packed=packed)
    data = load_dataset("fashion-mnist", root=tmp_path)
    assert data.record["splits"] == {"train": 50, "search": 10, "test": 20}
    assert tensors(data.test).labels.tolist() == [n % 10 for n in range(20)]
    assert data.image_size == 28


def test_fashion_mnist_where_it_is_absent_names_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist, "DEBIAN", tmp_path / "debian")
    with pytest.raises(DataError, match=r"debian.*apt install dataset-fashion-mnist.*root=, a torchvision root"):
        load_dataset("fashion-mnist")


def test_damaged_files_of_fashion_mnist_are_named(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    write_idx(raw, labels=59)
    with pytest.raises(DataError, match="60 train images but 59 labels"):
        load_dataset("fashion-mnist", root=tmp_path)
    path = raw / "train-labels-idx1-ubyte.gz"
    for content in (path.read_bytes()[:-30], b"junk", gzip.compress(bytes(60))):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"cannot read .*train-labels-idx1-ubyte\.gz") as e:
            load_dataset("fashion-mnist", root=tmp_path)
        assert "\n" not in str(e.value)


@pytest.mark.skipif(not fashion_mnist.DEBIAN.exists(), reason="Debian's dataset-fashion-mnist is not installed")
def test_fashion_mnist_from_debian() -> None:
    data = load_dataset("fashion-mnist")
    assert data.record["splits"] == {"train": 50_000, "search": 10_000, "test": 10_000}
    assert torch.equal(torch.bincount(tensors(data.search).labels), torch.full((10,), 1000))


def test_an_image_folder_holds_search_images_out_of_train(make_folder: MakeFolder) -> None:
    root = make_folder({"train": 10, "val": 3})
    data = load_dataset(f"imagefolder:{root}", image_size=16, search_fraction=0.2)
    assert data.record["splits"] == {"train": 16, "search": 4, "test": 6}
    assert (data.num_classes, data.in_channels) == (2, 3)
    images, labels = next(iter(iterate(data.train, 4, seed=0)))
    assert images.shape == (4, 3, 16, 16)
    assert set(labels.tolist()) <= {0, 1}
    again = load_dataset(f"imagefolder:{root}", image_size=16, search_fraction=0.2)
    assert again.record["fingerprint"] == data.record["fingerprint"]


def test_an_image_folder_with_val_and_test_trains_on_all_of_train(make_folder: MakeFolder) -> None:
    data = load_dataset(f"imagefolder:{make_folder({'train': 4, 'val': 3, 'test': 2})}", image_size=16)
    assert data.record["splits"] == {"train": 8, "search": 6, "test": 4}


def test_an_image_folder_without_test_images_holds_them_out(make_folder: MakeFolder) -> None:
    root = make_folder({"train": 10})
    data = load_dataset(f"imagefolder:{root}", image_size=16)
    assert data.record["splits"] == {"train": 12, "search": 4, "test": 4}
    data = load_dataset(f"imagefolder:{root}", image_size=16, test_fraction=0.2)
    assert data.record["splits"] == {"train": 14, "search": 2, "test": 4}


def test_faults_of_an_image_folder_are_named(make_folder: MakeFolder) -> None:
    root = make_folder({"train": 4, "test": 2})
    (root / "train" / "emu").mkdir()
    with pytest.raises(DataError, match=r"class folder .*train/emu contains no images"):
        load_dataset(f"imagefolder:{root}")
    (root / "train" / "emu" / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"classes of .*test differ from those of the train images, as in 'emu'"):
        load_dataset(f"imagefolder:{root}")
    with pytest.raises(DataError, match=r"there is no folder .*absent"):
        load_dataset(f"imagefolder:{root}/absent")


def test_an_unreadable_image_is_named_when_it_is_read(make_folder: MakeFolder) -> None:
    root = make_folder({"train": 4, "test": 2})
    data = load_dataset(f"imagefolder:{root}", image_size=16)
    (root / "test" / "dog" / "1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"cannot read the image .*test/dog/1\.png"):
        list(iterate(data.test, 2))


def test_the_strongest_augmentation_leaves_every_image_readable(make_folder: MakeFolder) -> None:
    strongest = "rand-m10-n15-mstd0-inc1"  # posterize to no bits at all, which Pillow refuses
    data = load_dataset(f"imagefolder:{make_folder({'train': 5, 'val': 1})}", image_size=16)
    assert isinstance(data.train, ImageFiles)
    train = data.train.augmented(strongest, 0.25)
    for place in [*range(len(train))] * 5:
        assert train[place][0].shape == (3, 16, 16)
