"""Image files as 8-bit Pillow images: upright, at any bit depth, alike for training and prediction; no torch."""

from __future__ import annotations

import os
import stat
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from nasformer.errors import DataError

MODES = {1: "L", 3: "RGB"}
"""Pillow's mode by number of channels."""

CROP_MODES = ("center", "squash")
INTERPOLATIONS = ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")

MAX_PIXELS = "NASFORMER_MAX_PIXELS"
"""Environment variable: most pixels of an image, instead of Pillow's limit of 179 million."""

_FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "QOI", "TGA", "TIFF", "WEBP")
"""No format that runs another program, as EPS does."""
_ORIENTATION = 0x0112
_SIXTEEN_BIT, _THIRTY_TWO_BIT = 2**16 - 1, 2**31 - 1


@cache
def formats() -> tuple[str, ...]:
    """Return the formats that are read and that this Pillow supports."""
    from PIL import Image

    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


@cache
def suffixes() -> frozenset[str]:
    """Return the suffixes of image files, in lower case.

    >>> {".gif", ".jfif", ".jpg", ".png", ".tif", ".webp"} <= suffixes()
    True
    """
    from PIL import Image

    kinds = {*formats(), "MPO"}  # JPEG with several images
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in kinds)


def read_image(source: str | Path | IO[bytes], mode: str, name: object = None) -> Any:
    """Return an image file as an upright Pillow image.

    Args:
        source: The file.
        mode: "RGB", or "L" for grey.
        name: Its name in messages; None: ``source``.

    Raises:
        DataError: It is missing, no image, damaged, too large, or holds floats outside [0, 1].
    """
    return _read(source, mode, source if name is None else name)[0]


def look(source: str | Path | IO[bytes], mode: str, name: object) -> tuple[str, int, int]:
    """Return format with mode, width and height of an image file that can be read; arguments and errors as above."""
    image, kind = _read(source, mode, name)
    return kind, *image.size


def _read(source: str | Path | IO[bytes], mode: str, name: object) -> tuple[Any, str]:
    from PIL import Image, UnidentifiedImageError

    try:
        if not isinstance(source, (str, Path)) or _is_regular(source):
            most = limit()
            if most is not None:
                Image.MAX_IMAGE_PIXELS = None
            with Image.open(source, formats=formats()) as image:
                if most is not None and image.width * image.height > most:
                    raise Image.DecompressionBombError(f"it has {image.width * image.height} pixels")
                return as_mode(image, mode), f"{image.format} {image.mode}"
        reason = "it is no regular file"
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"there is no image {name}", name) from None
    except UnidentifiedImageError:
        reason = "Pillow cannot identify it as an image"
    except Image.DecompressionBombError as error:
        reason = f"{str(error).split(',')[0]}; if you trust it, set {MAX_PIXELS} to a larger number"
    except Exception as error:  # a damaged file can raise anything in Pillow
        reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise DataError(f"cannot read the image {name}: {reason}", name)


def as_mode(image: Any, mode: str) -> Any:
    """Return a Pillow image upright, as its EXIF orientation says, in 8 bits, and without transparency.

    Grey values of 16 bits and of 32 bits are scaled by the range of their type, floats by [0, 1]. Integers of 32 bits
    that all fit into 16 are taken as 16 bits: Pillow and many programs store them so.

    Raises:
        ValueError: Negative integers, or floats outside [0, 1].
    """
    image = _upright(image)
    if image.mode[0] in "IF":
        image = _eight_bits(image)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image if image.mode == mode else image.convert(mode)


def _upright(image: Any) -> Any:
    from PIL import ImageOps

    image.load()  # turns a TIFF upright itself
    try:
        turned = image.getexif().get(_ORIENTATION, 1) != 1
        return ImageOps.exif_transpose(image) if turned else image
    except Exception:  # damaged EXIF data, in a file whose pixels are fine
        return image


def _eight_bits(image: Any) -> Any:
    from PIL import Image

    pixels = np.asarray(image)
    least, most = (float(bound) for bound in (pixels.min(), pixels.max()))
    if image.mode == "F":
        if not (least >= 0 and most <= 1):  # also NaN
            raise ValueError(f"its floats reach from {least:g} to {most:g}; scale them to [0, 1], or save 8 bits")
        full = 1.0
    elif least < 0:
        raise ValueError(f"its integers reach from {least:g} to {most:g}; shift them to 0 or more, or save 8 bits")
    else:
        full = _THIRTY_TWO_BIT if most > _SIXTEEN_BIT else _SIXTEEN_BIT
    return Image.fromarray(np.round(pixels * (255.0 / full)).astype(np.uint8))


def _is_regular(path: str | Path) -> bool:
    return stat.S_ISREG(os.stat(path).st_mode)


def limit() -> int | None:
    """Return the most pixels of an image, in place of Pillow's limit; None: none is set.

    Raises:
        DataError: The environment variable is no number.
    """
    given = os.environ.get(MAX_PIXELS)
    try:
        return int(float(given)) if given else None
    except (ValueError, OverflowError):
        raise DataError(f"{MAX_PIXELS} must be a number of pixels, got {given!r}", given) from None
