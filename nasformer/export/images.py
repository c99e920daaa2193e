"""Images: files as a model wants to see them, by the preprocessing of its description."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nasformer.errors import DataError
from nasformer.export.opened import Images

_MODES = {1: "L", 3: "RGB"}


def prepared(path: str | Path, preprocessing: Mapping[str, Any]) -> Images:
    """Return an image file as ``(1, channels, size, size)``: resized, cropped, normalised.

    Args:
        path: The file, of any kind that Pillow reads.
        preprocessing: Of a model's description.

    Raises:
        DataError: It is absent, or no image.
    """
    from PIL import Image

    try:
        with Image.open(path) as opened:
            opened.load()
            image = _converted(opened, int(preprocessing["channels"]))
    except (OSError, SyntaxError, ValueError) as error:
        reason = "it is not there" if isinstance(error, FileNotFoundError) else str(error).splitlines()[0]
        raise DataError(
            f"cannot read the image {path}: {reason}; give files that Pillow reads, as PNG or JPEG", path
        ) from error
    pixels = np.asarray(_cropped(image, preprocessing), dtype=np.float32) / 255.0
    channels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    shape = (-1, 1, 1)
    mean, std = (np.asarray(preprocessing[name], dtype=np.float32).reshape(shape) for name in ("mean", "std"))
    return np.ascontiguousarray(((channels - mean) / std)[None], dtype=np.float32)


def _converted(image: Any, channels: int) -> Any:
    if channels not in _MODES:
        raise ValueError(f"the model takes {channels} channels, and an image file has 1 or 3")
    return image.convert(_MODES[channels])


def _cropped(image: Any, preprocessing: Mapping[str, Any]) -> Any:
    """Resize so that the centre crop is its share of the shorter side, as torchvision does, and crop."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.functional import center_crop, resize

    size = int(preprocessing["image_size"])
    wanted = int(size / preprocessing["crop_pct"])
    return center_crop(resize(image, [wanted], InterpolationMode(preprocessing["interpolation"])), [size, size])
