"""Pictures of images as the network sees them: samples, a row per class, and chosen test images."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nasformer._io import atomic

if TYPE_CHECKING:
    from nasformer.data import Dataset
    from nasformer.data.dataset import Split

MISTAKES = "mistakes.png"
"""File of the test images that a network gets wrong most confidently."""

_CELL, _GAP, _LABEL = 96, 4, 150
_ROWS, _COLUMNS = 20, 8


def draw_samples(data: Dataset, path: Path, *, skipped: Collection[str] = ()) -> Path:
    """Write a PNG with the first readable train images of each class, after the preprocessing of the test images."""
    return _draw_rows(data, data.train, _rows(data, skipped), path, _LABEL)


def draw_test_images(data: Dataset, places: Sequence[int], path: Path) -> Path:
    """Write a PNG with some test images, in rows."""
    rows = [("", [*places[start : start + _COLUMNS]]) for start in range(0, len(places), _COLUMNS)]
    return _draw_rows(data, data.test, rows, path, 0)


def _draw_rows(data: Dataset, split: Split, rows: Sequence[tuple[str, list[int]]], path: Path, label: int) -> Path:
    from PIL import Image, ImageDraw

    width, height = label + _COLUMNS * (_CELL + _GAP), len(rows) * (_CELL + _GAP)
    sheet = Image.new("RGB", (width, max(height, 1)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (name, places) in enumerate(rows):
        top = row * (_CELL + _GAP)
        draw.text((8, top + _CELL // 2 - 6), name[:24], fill="black")
        for column, place in enumerate(places):
            picture = _picture(data, split, place).resize((_CELL, _CELL))
            sheet.paste(picture, (label + column * (_CELL + _GAP), top))
    with atomic(path) as draft:
        sheet.save(draft, "PNG")
    return path


def _rows(data: Dataset, skipped: Collection[str]) -> list[tuple[str, list[int]]]:
    """Return the name of each row and the places of its images: of a class, or of any if targets are no classes."""
    from nasformer.data.dataset import targets_of

    targets, names = targets_of(data.train), getattr(data.train, "names", None)
    readable = [place for place in range(len(data.train)) if names is None or names[place] not in skipped]
    if targets is None or targets.ndim > 1 or targets.is_floating_point():
        return [("", readable[start : start + _COLUMNS]) for start in range(0, min(len(readable), 40), _COLUMNS)]
    classes = targets.tolist()
    of = [[place for place in readable if classes[place] == label] for label in range(min(_ROWS, len(data.classes)))]
    return [(data.classes[label], places[:_COLUMNS]) for label, places in enumerate(of)]


def _picture(data: Dataset, split: Split, place: int) -> Any:
    from PIL import Image

    pixels = split[place][0].numpy()
    mean, std = (np.reshape(data.record.get(key, default), (-1, 1, 1)) for key, default in (("mean", 0), ("std", 1)))
    values = np.clip(np.round((pixels * std + mean) * 255), 0, 255).astype(np.uint8)
    return Image.fromarray(values[0] if len(values) == 1 else values[:3].transpose(1, 2, 0))
