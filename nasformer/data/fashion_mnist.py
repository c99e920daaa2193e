"""fashion-mnist: 70,000 grey images of clothes, 28x28 pixels (Xiao et al., 2017, arXiv 1708.07747).

Read from Debian's package or from a torchvision root; never downloaded.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer.data.dataset import Dataset
from nasformer.data.tensors import from_arrays
from nasformer.errors import DataError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
FRACTIONS = {"train": 5 / 6, "search": 1 / 6}
CLASSES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_FILES = {"train": "train", "test": "t10k"}


def load_fashion_mnist(*, seed: int = 0, root: str | Path | None = None) -> Dataset:
    """Return Fashion-MNIST: 50,000 to train, 10,000 to search, its own 10,000 to test.

    Args:
        seed: Seed of the splits.
        root: A torchvision root, or the folder of the four files; None: Debian's folder.

    Raises:
        DataError: The files are missing or damaged.
    """
    folder = _find(root)
    images, labels = _pair(folder, "train")
    test = _pair(folder, "test")
    return from_arrays("fashion-mnist", images, labels, FRACTIONS, seed=seed, test=test, classes=CLASSES)


def _find(root: str | Path | None) -> Path:
    places = [DEBIAN] if root is None else [Path(root), Path(root) / "FashionMNIST" / "raw"]
    for place in places:
        if any((place / f"{stem}-labels-idx1-ubyte{end}").exists() for stem in _FILES.values() for end in ("", ".gz")):
            return place
    raise DataError(
        f"fashion-mnist is not in {' or '.join(map(str, places))}: install Debian's package (apt install "
        "dataset-fashion-mnist), or give root=, a torchvision root that holds FashionMNIST/raw",
        places,
    )


def _pair(folder: Path, split: str) -> tuple[NDArray[np.float32], NDArray[Any]]:
    images = _read(folder, f"{_FILES[split]}-images-idx3-ubyte", 3)
    labels = _read(folder, f"{_FILES[split]}-labels-idx1-ubyte", 1)
    if len(images) != len(labels):
        raise DataError(
            f"{folder} holds {len(images)} {split} images but {len(labels)} labels; download it again", folder
        )
    return images[:, None].astype(np.float32) / 255.0, labels


def _read(folder: Path, stem: str, dimensions: int) -> NDArray[np.uint8]:
    """Read one idx file: two zero bytes, 8 (bytes), the number of dimensions, their sizes, the bytes."""
    packed, plain = folder / f"{stem}.gz", folder / stem
    path = packed if packed.exists() else plain
    try:
        content = gzip.decompress(path.read_bytes()) if path is packed else path.read_bytes()
        sizes = np.frombuffer(content, ">u4", dimensions, 4)
        if content[:4] != bytes([0, 0, 8, dimensions]):
            raise ValueError("not an idx file of bytes")
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions).reshape(sizes.tolist())
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"cannot read {path}: {str(error).splitlines()[0]}", path) from error
