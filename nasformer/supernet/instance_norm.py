"""Reversible instance normalisation of series: RevIN (Kim et al., ICLR 2022), without affine weights.

Each series is normalised by its own mean and standard deviation over time; the outputs get both back, so that a
forecast follows the level and the scale of its input.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPS = 1e-5
"""Added to the variance."""


def series_statistics(series: Tensor) -> Tensor:
    """Return the mean and standard deviation ``(batch, 2)`` of series ``(batch, 1, length)``, at least float32."""
    values = series.flatten(1).to(torch.promote_types(series.dtype, torch.float32))
    variance, mean = torch.var_mean(values, dim=1, correction=0)
    return torch.stack((mean, (variance + EPS).sqrt()), dim=1)


def normalise(series: Tensor, statistics: Tensor) -> Tensor:
    """Normalise series ``(batch, 1, length)`` by their statistics ``(batch, 2)``."""
    mean, deviation = statistics[:, :, None, None].unbind(1)
    return ((series - mean) / deviation).to(series.dtype)


def restore(outputs: Tensor, statistics: Tensor) -> Tensor:
    """Give outputs ``(batch, outputs)`` the scale and level of their series, statistics ``(batch, 2)``.

    >>> series = torch.tensor([[[1.0, 3.0, 5.0]]])
    >>> statistics = series_statistics(series)
    >>> restore(normalise(series, statistics)[:, 0], statistics)
    tensor([[1., 3., 5.]])
    """
    mean, deviation = statistics[:, :, None].unbind(1)
    return outputs * deviation + mean
