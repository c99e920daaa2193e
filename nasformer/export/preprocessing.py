"""Image preprocessing with Pillow and NumPy only, so that onnxruntime needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nasformer.data.picture import MODES, as_mode, read_image
from nasformer.errors import ExportError


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of a network's test images.

    The image is turned upright, as its EXIF data say. The shorter side is resized to ``resize`` pixels, the centre
    ``size`` pixels are taken, bytes become numbers from 0 to 1, and each channel loses its mean and is divided by its
    deviation.

    Args:
        channels: 1 (grey) or 3 (red, green, blue); others are for arrays, not for image files.
        size: Height and width of the input, in pixels.
        resize: Shorter side before the crop, in pixels.
        mean: Mean of each channel.
        std: Standard deviation of each channel.
        interpolation: How it is resized: "bicubic", "bilinear", …

    >>> grey = Preprocessing(channels=1, size=2, resize=2, mean=(0.5,), std=(0.5,))
    >>> from PIL import Image
    >>> grey(Image.new("RGB", (4, 2), "white")).tolist()
    [[[1.0, 1.0], [1.0, 1.0]]]
    """

    channels: int
    size: int
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bicubic"

    def __call__(self, image: Any) -> NDArray[np.float32]:
        """Map a PIL image to ``(channels, size, size)``.

        Raises:
            ExportError: Image files cannot have so many channels.
        """
        from PIL import Image

        if self.channels not in MODES:
            raise ExportError(
                f"the network takes {self.channels} channels, which no image file has; give arrays in Python", self
            )
        image = as_mode(image, MODES[self.channels])
        wanted = self._resized(*image.size)
        if image.size != wanted:
            image = image.resize(wanted, Image.Resampling[self.interpolation.upper()])
        left, top = (round((side - self.size) / 2.0) for side in wanted)
        pixels = np.asarray(image.crop((left, top, left + self.size, top + self.size)), dtype=np.float32)
        return self.normalised(pixels.reshape(self.size, self.size, self.channels).transpose(2, 0, 1))

    def normalised(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map bytes as floats ``(channels, size, size)`` to the network's input."""
        mean, std = (np.asarray(values, dtype=np.float32).reshape(-1, 1, 1) for values in (self.mean, self.std))
        return np.ascontiguousarray((pixels / np.float32(255) - mean) / std)

    def read(self, path: str | Path) -> NDArray[np.float32]:
        """Return the input ``(channels, size, size)`` of an image file.

        Raises:
            DataError: It is missing, or no image that can be read (``data.picture``).
            ExportError: Image files cannot have so many channels.
        """
        return self(read_image(path, MODES.get(self.channels, "RGB")))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Preprocessing:
        """Read the values of ``to_dict``."""
        return cls(**{**data, "mean": tuple(data["mean"]), "std": tuple(data["std"])})

    def _resized(self, width: int, height: int) -> tuple[int, int]:
        """Return width and height with the shorter one ``resize``, the longer one rounded down."""
        short, long = sorted((width, height))
        longer = int(self.resize * long / short)
        return (self.resize, longer) if width <= height else (longer, self.resize)
