"""CIFAR-10 in memory, from a folder of images or from the archives in ``NASFORMER_REFERENCE``."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks._checkpoint.images import decoded, unpacked
from nasformer.data import Dataset
from nasformer.data.tensors import from_arrays
from nasformer.errors import NasformerError

_FRACTIONS = {"train": 0.9, "search": 0.1}
_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load(folder: Path, images: Path | None = None) -> Dataset:
    """Return the dataset; a tenth of the train images are the search images.

    Args:
        folder: Folder of what is unpacked and decoded, once.
        images: Folder with ``train/CLASS/FILE`` and ``test/CLASS/FILE``; None: the archives are unpacked.

    Raises:
        NasformerError: There are neither.
    """
    archives = Path(os.environ.get("NASFORMER_REFERENCE", "../shared")) / "images"
    cache = folder / "cifar10.pt"
    if images is None and not cache.is_file():
        if not (archives / "cifar10-train.tar.xz").is_file():
            raise NasformerError(f"there are no archives in {archives}; give --images or NASFORMER_REFERENCE", archives)
        images = unpacked(archives, folder)
    parts = decoded(images or folder, cache)
    arrays = {name: ((part.pixels / 255.0).numpy(), part.labels.numpy()) for name, part in parts.items()}
    return from_arrays("cifar10", *arrays["train"], _FRACTIONS, seed=0, test=arrays["test"], classes=_CLASSES)
