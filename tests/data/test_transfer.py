"""The transfer sets, from small files in torchvision's layout, whose own sums it is told."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from nasformer.data import Dataset, ImagesInMemory, iterate, load_dataset
from nasformer.errors import DataError

RNG = np.random.default_rng(0)


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 255, (20, 26, 3), dtype=np.uint8)).save(path)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_cifar(
    root: Path, patch: pytest.MonkeyPatch, kind: Any, classes: int, key: str, parts: dict[str, int]
) -> None:
    folder = root / kind.base_folder
    folder.mkdir(parents=True)
    for name, images in parts.items():
        pixels = RNG.integers(0, 255, (images, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": pixels, key: [n % classes for n in range(images)]}))
    (folder / kind.meta["filename"]).write_bytes(pickle.dumps({kind.meta["key"]: [f"c{n}" for n in range(classes)]}))
    train, test = list(parts)[:-1], list(parts)[-1:]
    patch.setattr(kind, "train_list", [(name, md5(folder / name)) for name in train])
    patch.setattr(kind, "test_list", [(name, md5(folder / name)) for name in test])
    patch.setattr(kind, "meta", {**kind.meta, "md5": md5(folder / kind.meta["filename"])})


def cifar10(root: Path, patch: pytest.MonkeyPatch) -> None:
    parts = {"data_batch_1": 50, "data_batch_2": 50, "test_batch": 20}
    write_cifar(root, patch, datasets.CIFAR10, 10, "labels", parts)


def cifar100(root: Path, patch: pytest.MonkeyPatch) -> None:
    write_cifar(root, patch, datasets.CIFAR100, 100, "fine_labels", {"train": 1000, "test": 100})


def flowers(root: Path, patch: pytest.MonkeyPatch) -> None:
    folder, classes, each = root / "flowers-102", 102, 4
    for number in range(1, classes * each + 1):
        picture(folder / "jpg" / f"image_{number:05d}.jpg")
    numbers = np.arange(1, classes * each + 1)
    savemat(folder / "imagelabels.mat", {"labels": (numbers - 1) % classes + 1})
    parts = np.split(numbers, each)
    savemat(folder / "setid.mat", {"trnid": parts[0], "valid": parts[1], "tstid": np.concatenate(parts[2:])})
    known = dict(datasets.Flowers102._file_dict)
    for key in ("label", "setid"):
        known[key] = (known[key][0], md5(folder / known[key][0]))
    patch.setattr(datasets.Flowers102, "_file_dict", known)


def pets(root: Path, patch: pytest.MonkeyPatch) -> None:
    folder = root / "oxford-iiit-pet"
    (folder / "annotations").mkdir(parents=True)
    for part, each in (("trainval", 5), ("test", 2)):
        lines = []
        for label, name in enumerate(("Abyssinian", "basset_hound", "Bengal"), 1):
            for number in range(each):
                picture(folder / "images" / f"{name}_{part}{number}.jpg")
                lines.append(f"{name}_{part}{number} {label} 1 1")
        (folder / "annotations" / f"{part}.txt").write_text("\n".join(lines) + "\n")


def cars(root: Path, patch: pytest.MonkeyPatch) -> None:
    folder = root / "stanford_cars"
    (folder / "devkit").mkdir(parents=True)
    names = np.array(["AM General", "Acura", "Audi"], dtype=object)
    savemat(folder / "devkit" / "cars_meta.mat", {"class_names": names})
    lists = {"train": "devkit/cars_train_annos.mat", "test": "cars_test_annos_withlabels.mat"}
    for part, each in (("train", 5), ("test", 2)):
        rows = []
        for number in range(3 * each):
            picture(folder / f"cars_{part}" / f"{number:05d}.jpg")
            rows.append((f"{number:05d}.jpg", number % 3 + 1))
        savemat(folder / lists[part], {"annotations": np.array(rows, dtype=[("fname", object), ("class", object)])})


SETS: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], None], int, tuple[int, int, int]]] = {
    "cifar10": (cifar10, 10, (90, 10, 20)),
    "cifar100": (cifar100, 100, (900, 100, 100)),
    "flowers": (flowers, 102, (102, 102, 204)),
    "pets": (pets, 3, (12, 3, 6)),
    "cars": (cars, 3, (12, 3, 6)),
}


def pixels(data: Dataset) -> dict[str, set[bytes]]:
    """Every image of each split as it is in its file or array."""
    return {
        name: {np.asarray(split.read(n)).tobytes() for n in range(len(split))}  # type: ignore[attr-defined]
        for name, split in data.splits.items()
    }


@pytest.mark.parametrize("name", SETS)
def test_every_image_is_in_one_split_and_every_class_in_all(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, classes, sizes = SETS[name]
    write(tmp_path, monkeypatch)
    data = load_dataset(name, root=tmp_path, image_size=24)
    assert tuple(data.record["splits"].values()) == sizes
    assert (data.num_classes, data.image_size, data.in_channels, len(data.classes)) == (classes, 24, 3, classes)
    found = pixels(data)
    assert sum(map(len, found.values())) == len(set.union(*found.values())) == sum(sizes)
    for split in data.splits.values():
        assert set(split.targets) == set(range(classes))  # type: ignore[attr-defined]
    images, labels = next(iter(iterate(data.test, 4)))
    assert images.shape == (4, 3, 24, 24)
    assert labels.tolist() == data.test.targets[:4]  # type: ignore[attr-defined]
    again, other = (load_dataset(name, root=tmp_path, image_size=24, seed=seed) for seed in (0, 1))
    assert data.record == again.record
    assert data.record["fingerprint"] != other.record["fingerprint"]


def test_cifar_at_its_own_size_is_in_memory_and_split_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cifar10(tmp_path, monkeypatch)
    small, large = load_dataset("cifar10", root=tmp_path), load_dataset("cifar10", root=tmp_path, image_size=48)
    assert isinstance(small.train, ImagesInMemory)
    assert (small.image_size, large.image_size, small.classes[3]) == (32, 48, "c3")
    assert small.record["splits"] == large.record["splits"]
    assert float(small.train.images.mean()) == pytest.approx(0, abs=1e-4)
    assert torch.bincount(small.search.labels).tolist() == [1] * 10  # type: ignore[attr-defined]
    raw = large.search.read(0)  # type: ignore[attr-defined]
    mean, std = (torch.tensor(small.record[key]).view(3, 1, 1) for key in ("mean", "std"))
    expected = torch.from_numpy(np.asarray(raw).transpose(2, 0, 1).copy()) / 255.0
    torch.testing.assert_close(
        small.search.images[0] * std + mean,  # type: ignore[attr-defined]
        expected,
        atol=1e-5,
        rtol=0,
        check_dtype=False,
    )


@pytest.mark.parametrize("name", SETS)
def test_what_is_missing_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"{name} is read from files; give root= \(--root DIR\)"):
        load_dataset(name)
    with pytest.raises(DataError, match=rf"{name} is not in .*: there is no .*/; give the torchvision root"):
        load_dataset(name, root=tmp_path)
    write, _, _ = SETS[name]
    with pytest.MonkeyPatch.context() as patch:
        write(tmp_path, patch)
    folder = next(tmp_path.iterdir())
    lists = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".jpg"]
    for path in lists:
        path.write_bytes(b"torn")
    with pytest.raises(DataError, match=r"cannot read \w+ in .*; download it again") as caught:
        load_dataset(name, root=tmp_path)
    assert "\n" not in str(caught.value)
