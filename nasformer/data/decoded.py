"""DecodedImages: image files decoded once into an array on disk, from which later passes read whole batches.

A search evaluates the same images hundreds of times, and decoding costs more than a small network's forward
pass. So the pixels are cached after resizing and cropping.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasformer._io import atomic
from nasformer._provenance import installed
from nasformer.data.batches import cores
from nasformer.data.dataset import Split
from nasformer.data.image_files import ImageFiles, Plain

LAYOUT = 2
"""Version of the arrays; incremented when the pixels written for the same files change."""

_AT_A_TIME = 256
_SECONDS_BETWEEN_LINES = 10.0
_LOGGER = logging.getLogger("nasformer.data")


class DecodedImages(torch.utils.data.Dataset[tuple[Tensor, Any]]):
    """Memory-mapped images decoded before; their values equal those of the files, bit for bit.

    Args:
        files: The files, with a plain transform.
        path: The array of their pixels, uint8 ``(n, channels, size, size)``: see ``decode_once``.

    Raises:
        ValueError: The array is incomplete, or not of these files.
    """

    def __init__(self, files: ImageFiles, path: Path) -> None:
        self.files, self.path = files, path
        self.classes, self.targets = files.classes, files.targets
        self.labels = files.labels
        self._pixels: NDArray[np.uint8] = np.load(path, mmap_mode="r", allow_pickle=False)
        if (self._pixels.shape, self._pixels.dtype) != (_shape(files), np.uint8):
            raise ValueError(f"{path} holds {self._pixels.dtype} {self._pixels.shape}")

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, Any]:
        images, labels = self.batch(slice(index, index + 1) if index >= 0 else [index], torch.device("cpu"))
        return images[0], labels[0] if labels.ndim > 1 else int(labels[0])

    def __reduce__(self) -> tuple[Any, ...]:
        return DecodedImages, (self.files, self.path)  # another process maps the array itself

    def batch(self, places: slice | Any, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return images ``(batch, channels, size, size)`` and their labels; uint8 goes to the device, not floats."""
        rows = places.numpy() if isinstance(places, Tensor) else places
        pixels, labels = torch.from_numpy(np.array(self._pixels[rows])), self.labels[places]
        if device.type == "cuda":
            pixels, labels = pixels.pin_memory(), labels.pin_memory()
        there = pixels.to(device, non_blocking=True)
        return _plain(self.files).normalised(there), labels.to(device, non_blocking=True)


def decode_once(split: Split, folder: Path, *, threads: int | None = None) -> Split:
    """Return image files as an array cached in ``folder``, created if missing; other splits unchanged.

    An array takes 3 · size² bytes per image: 1.5 GB for 10,000 of 224 pixels. There is one per split, named by a
    hash of the files' paths, sizes and times, of the transform and of the library versions that affect pixels;
    arrays may be deleted at any time. They are written atomically, so an interrupted one is
    created again. Of several processes that need the same array, one decodes and the others wait. If it
    cannot be written, a warning says so, and every pass decodes the files again.

    Args:
        split: The images; only files that are not augmented are cached.
        folder: Folder of the arrays.
        threads: Decoding threads; None: one per core.

    Raises:
        DataError: An image cannot be read.
    """
    if not isinstance(split, ImageFiles) or not isinstance(split.transform, Plain):
        return split
    path = folder / f"{_key(split)}.npy"
    try:
        found = _find(split, path)
        if found is None:
            folder.mkdir(parents=True, exist_ok=True)
            with alone(path):
                found = _find(split, path) or _make(split, path, threads or cores())
    except OSError as error:
        _LOGGER.warning(
            "cannot cache %d decoded images in %s: %s (they need %s bytes); every pass decodes them again; "
            "free space, or set NASFORMER_HOME to a folder with enough of it",
            *(len(split), folder, error.strerror or error, f"{_bytes(split):,}"),
        )
        return split
    return found


def _find(files: ImageFiles, path: Path) -> DecodedImages | None:
    """Return the images of an array; None if it is missing or damaged."""
    with suppress(FileNotFoundError, ValueError, EOFError):
        return DecodedImages(files, path)
    return None


def _make(files: ImageFiles, path: Path, threads: int) -> DecodedImages:
    if shutil.disk_usage(path.parent).free < _bytes(files):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    # Written, not mapped: on a full disk a write raises, but a mapped page kills the process (SIGBUS).
    with atomic(path) as draft, draft.open("wb") as file:
        _write(files, file, threads)
        file.flush()
        os.fsync(file.fileno())
    return DecodedImages(files, path)


def _write(files: ImageFiles, file: IO[bytes], threads: int) -> None:
    """Write pixels in order. Threads suffice: Pillow releases the GIL when decoding and resizing."""
    plain, count, began = _plain(files), len(files), time.perf_counter()
    header = {"descr": "|u1", "fortran_order": False, "shape": _shape(files)}
    np.lib.format.write_array_header_1_0(file, header)
    told = began
    with ThreadPool(threads) as pool:
        for first in range(0, count, _AT_A_TIME):  # bounds the write queue
            places = range(first, min(first + _AT_A_TIME, count))
            for pixels in pool.imap(lambda place: plain.pixels(files.read(place)), places):
                file.write(pixels.tobytes())
            now = time.perf_counter()
            if now - told > _SECONDS_BETWEEN_LINES or places.stop == count:
                told, rate = now, places.stop / (now - began)
                _LOGGER.info(
                    "decoded %s of %s images, %.0f a second, %.0f s left",
                    *(f"{places.stop:,}", f"{count:,}", rate, (count - places.stop) / rate),
                )


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Lock a file while it is created, if the system can; the lock ends with the process that holds it."""
    try:
        import fcntl
    except ImportError:  # Windows: each process writes its own draft, and the last one wins
        yield
        return
    with path.with_suffix(".lock").open("w") as file:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _key(files: ImageFiles) -> str:
    """Hash everything that affects the pixels."""
    from PIL import features

    versions = [f"{name} {number}" for name, number in installed("Pillow", "timm", "torchvision").items()]
    codec = features.version("libjpeg_turbo") or features.version("jpg")
    digest = hashlib.sha256(f"{LAYOUT}\n{versions}\n{codec}\n{files.transform!r}\n".encode())
    for place in range(len(files)):
        digest.update(f"{files.stamp(place)}\n".encode())
    return digest.hexdigest()[:32]


def _plain(files: ImageFiles) -> Plain:
    assert isinstance(files.transform, Plain)
    return files.transform


def _shape(files: ImageFiles) -> tuple[int, int, int, int]:
    plain = _plain(files)
    return len(files), plain.channels, plain.image_size, plain.image_size


def _bytes(files: ImageFiles) -> int:
    return int(np.prod(_shape(files)))
