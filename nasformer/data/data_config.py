"""DataConfig: how images are cropped and normalised for a network, by the names of timm's model configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from itertools import chain
from typing import Any

import torch

from nasformer.data.picture import CROP_MODES, INTERPOLATIONS
from nasformer.errors import DataError, shown

CROP = 0.875
"""Center crop, as a fraction of the shorter side, as in AutoFormer's evaluation."""


@dataclass(frozen=True, slots=True)
class DataConfig:
    """How images are cropped and normalised for a network, by the names of timm's model configuration.

    Args:
        mean: Normalisation mean of each channel, or of all.
        std: Normalisation standard deviation of each channel, or of all.
        crop_pct: Center crop, as a fraction of the shorter side.
        interpolation: How images are resized, one of ``INTERPOLATIONS``.
        crop_mode: "center", or "squash": both sides are resized alike, whatever their ratio.

    Raises:
        DataError: An invalid value.
    """

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)  # ImageNet's, as those of std
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    crop_pct: float = CROP
    interpolation: str = "bicubic"
    crop_mode: str = "center"

    def __post_init__(self) -> None:
        try:
            numbers = [tuple(map(float, each)) for each in (self.mean, self.std, (self.crop_pct,))]
        except (TypeError, ValueError):
            numbers = []
        finite = bool(numbers) and all(map(math.isfinite, chain(*numbers)))
        if not (finite and len(numbers[0]) == len(numbers[1]) in (1, 3) and min(numbers[1]) > 0):
            raise DataError(f"mean and std are 1 or 3 numbers each, got {shown(self.mean)} and {shown(self.std)}", self)
        if not 1 / 16 <= numbers[2][0] <= 1:
            raise DataError(f"crop_pct is a number from 0.0625 to 1, got {self.crop_pct!r}", self.crop_pct)
        if self.interpolation not in INTERPOLATIONS:
            known = ", ".join(INTERPOLATIONS)
            raise DataError(f"interpolation is one of {known}, got {shown(self.interpolation)}", self.interpolation)
        if self.crop_mode not in CROP_MODES:
            raise DataError(f"crop_mode is {' or '.join(CROP_MODES)}, got {shown(self.crop_mode)}", self.crop_mode)
        for name, value in zip(("mean", "std"), numbers, strict=False):
            object.__setattr__(self, name, value)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> DataConfig:
        """Return a configuration; what is missing is ImageNet's, further keys are ignored.

        Raises:
            DataError: An invalid value.
        """
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known})

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-compatible data."""
        data = {**asdict(self), "mean": list(self.mean), "std": list(self.std)}
        return data if self.crop_mode != "center" else {key: data[key] for key in data if key != "crop_mode"}

    def statistics(self, channels: int) -> tuple[list[float], list[float]]:
        """Return mean and standard deviation of so many channels, in single precision; one gets the mean of three."""
        mean, std = (torch.tensor(values) for values in (self.mean, self.std))
        if len(mean) != channels:
            mean, std = (values.mean(0, keepdim=True).expand(channels) for values in (mean, std))
        return mean.tolist(), std.tolist()


IMAGENET = DataConfig()
