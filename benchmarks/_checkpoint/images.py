"""CIFAR-10 in memory: decoded once, split into images of the checkpoint, photos of its user, and test images."""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torchvision.datasets import ImageFolder
from torchvision.transforms.functional import pil_to_tensor

from nasformer._io import atomic

SIZE = 30
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
PHOTOS = 10_000
_PAD = 3


@dataclass(frozen=True)
class Images:
    """Images and their classes.

    Attributes:
        pixels: Bytes (images, 3, height, width).
        labels: Classes (images,).
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, which: slice | Tensor) -> Images:
        return Images(self.pixels[which], self.labels[which])

    def centred(self) -> Tensor:
        """Return the normalized centres (images, 3, SIZE, SIZE)."""
        edge = (self.pixels.shape[-1] - SIZE) // 2
        return normalized(self.pixels[..., edge : edge + SIZE, edge : edge + SIZE])

    def augmented(self, generator: torch.Generator) -> Tensor:
        """Return normalized random crops, half of them mirrored (images, 3, SIZE, SIZE)."""
        padded = torch.nn.functional.pad(self.pixels.float(), [_PAD] * 4, mode="reflect")
        room = padded.shape[-1] - SIZE + 1
        rows, columns = torch.randint(room, (2, len(self)), generator=generator)
        mirrored = torch.rand(len(self), generator=generator) < 0.5
        steps = torch.arange(SIZE)
        across = torch.where(mirrored[:, None], steps.flip(0), steps) + columns[:, None]
        picks = torch.arange(len(self))[:, None, None]
        cut = padded.permute(0, 2, 3, 1)[picks, (rows[:, None] + steps)[:, :, None], across[:, None, :]]
        return normalized(cut.permute(0, 3, 1, 2))


def normalized(pixels: Tensor) -> Tensor:
    """Return pixels of mean 0 and deviation 1, from bytes."""
    mean, std = (torch.tensor(each)[:, None, None] * 255 for each in (MEAN, STD))
    return (pixels.float() - mean) / std


@dataclass(frozen=True)
class Splits:
    """Disjoint images: the checkpoint was trained on ``known``, its user has ``photos``, ``test`` judges alone."""

    known: Images
    photos: Images
    test: Images


def load(folder: Path, cache: Path) -> Splits:
    """Decode ``folder`` (train/CLASS/FILE, test/CLASS/FILE) once, and split in a fixed random order."""
    parts = decoded(folder, cache)
    train, test = parts["train"], parts["test"]
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    return Splits(train[order[PHOTOS:]], train[order[:PHOTOS]], test)


def unpacked(archives: Path, folder: Path) -> Path:
    """Unpack cifar10-train.tar.xz and cifar10-test.tar.xz into ``folder`` and return it."""
    for part in ("train", "test"):
        if not (folder / part).is_dir():
            with tarfile.open(archives / f"cifar10-{part}.tar.xz") as archive:
                archive.extractall(folder, filter="data")
    return folder


def decoded(folder: Path, cache: Path) -> dict[str, Images]:
    """Return train and test images of ``folder``, decoded once into ``cache``."""
    if not cache.is_file():
        cache.parent.mkdir(parents=True, exist_ok=True)
        with atomic(cache) as file:
            torch.save({part: _read(folder / part) for part in ("train", "test")}, file)
    kept = torch.load(cache, weights_only=True)
    return {part: Images(*kept[part]) for part in ("train", "test")}


def _read(folder: Path) -> tuple[Tensor, Tensor]:
    pairs = list(ImageFolder(str(folder)))
    return torch.stack([pil_to_tensor(image) for image, _ in pairs]), torch.tensor([label for _, label in pairs])
