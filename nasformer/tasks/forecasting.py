"""forecasting: the next values of a series, by squared error.

Channels are independent: an example is a window of one channel (PatchTST, Nie et al., ICLR 2023, section 3.1). Values
are standardised by the train part of their channel, and errors are of standardised values, as the field reports them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nasformer.errors import DataError
from nasformer.tasks._checks import require_columns, require_finite, require_names, require_shape, require_spread
from nasformer.tasks._task import Array, Figures, Metric, Task

if TYPE_CHECKING:
    from torch import Tensor

_LEAST_SPREAD = 1e-12
"""Ratio of deviation to mean below which values in double precision are mostly rounding."""


@dataclass(frozen=True)
class Forecasting(Task):
    """The next values of one channel of a series.

    Args:
        horizon: Steps ahead.
        channels: Names of the channels.
        mean: Mean of each channel over the train part.
        std: Standard deviation of each channel over the train part.

    Raises:
        DataError: The horizon is no positive integer, equal names, or a channel that does not vary.
    """

    name: ClassVar[str] = "forecasting"
    example: ClassVar[str] = "window"
    output: ClassVar[str] = "forecast"
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("mse", "MSE"), Metric("mae", "MAE"))
    objectives: ClassVar[tuple[str, ...]] = ("mse", "mae")
    independent: ClassVar[bool] = False  # windows overlap
    recipe: ClassVar[Mapping[str, Any]] = {
        **Task.recipe,
        **{"epochs": 8, "batch_size": 448, "learning_rate": 2e-3, "warmup_epochs": 0, "drop_path": 0.2},
    }

    horizon: int
    channels: tuple[str, ...] = field(default=("value",))
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.horizon) is not int or self.horizon < 1:
            raise DataError(f"horizon must be a whole number of 1 or more, got {self.horizon!r}", self.horizon)
        require_names(self.channels, "channels")
        require_spread(self.channels, self.mean, self.std, "channel", least=_LEAST_SPREAD)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The steps ahead, from 1."""
        return tuple(f"+{step}" for step in range(1, self.horizon + 1))

    def check(self, targets: Tensor, split: str) -> Tensor:
        """Return finite floats ``(windows, horizon)``.

        Raises:
            DataError: A NaN or an infinity, or another horizon.
        """
        return require_finite(require_columns(targets, self.outputs, split), split)

    def loss(
        self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0, weights: Tensor | None = None
    ) -> Tensor:
        """Return the mean squared error."""
        return (outputs - require_shape(targets, outputs)).square().mean()

    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return the squared and the absolute error of each window, averaged over the horizon."""
        apart = outputs - require_shape(targets, outputs)
        return {"mse": apart.square().mean(1), "mae": apart.abs().mean(1)}

    def evaluate(self, outputs: Array, targets: NDArray[Any]) -> Figures:
        """Return the squared error of each step ahead."""
        errors = np.square(outputs.astype(np.float64) - targets).mean(axis=0)
        return {"per_step": [float(each) for each in errors]}

    def predictions(self, outputs: Array, top: int = 5) -> list[Figures]:
        """Return the forecast of each window, standardised."""
        return [{"forecast": list(map(float, row))} for row in outputs]
