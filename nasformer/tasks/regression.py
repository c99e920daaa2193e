"""regression: one or several numbers per image, by squared or smooth absolute error.

Networks learn standardised targets. MAE is in the unit of a single target, and in standard deviations of several;
that of each target is in its unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from nasformer.errors import DataError, did_you_mean
from nasformer.tasks._checks import require_columns, require_finite, require_names, require_shape, require_spread
from nasformer.tasks._task import Array, Figures, Metric, Task

if TYPE_CHECKING:
    from torch import Tensor

LOSSES = ("mse", "smooth_l1")
_LEAST_SPREAD = 1e-6
"""Ratio of deviation to mean below which targets in single precision are mostly rounding."""


@dataclass(frozen=True)
class Regression(Task):
    """Numbers per image.

    Args:
        targets: Names of the targets, in the order of the outputs.
        mean: Mean of each target over the train split.
        std: Standard deviation of each target over the train split.
        criterion: The loss of standardised targets: "mse", or "smooth_l1" (Girshick, ICCV 2015), robust to outliers.

    Raises:
        DataError: An unknown criterion, equal names, or a target that does not vary.
    """

    name: ClassVar[str] = "regression"
    output: ClassVar[str] = "values"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("mae", "MAE"),
        Metric("r2", "R²", higher_is_better=True),
        Metric("loss", "loss"),
    )
    objectives: ClassVar[tuple[str, ...]] = ("loss", "mae")

    targets: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    criterion: str = "mse"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.criterion not in LOSSES:
            raise DataError(
                f"criterion of regression is mse or smooth_l1, got {self.criterion!r}; "
                f"{did_you_mean(str(self.criterion), LOSSES)}",
                self.criterion,
            )
        require_names(self.targets, "targets")
        require_spread(self.targets, self.mean, self.std, "target", least=_LEAST_SPREAD)

    @classmethod
    def fit(cls, targets: NDArray[Any], names: tuple[str, ...], **options: Any) -> Regression:
        """Return the task of the train split's targets ``(examples, targets)``, or ``(examples,)`` of a single one.

        Raises:
            DataError: A NaN or an infinity, or a target that does not vary.
        """
        values = np.asarray(targets, dtype=np.float64).reshape(len(targets), -1)
        odd = ~np.isfinite(values).all(axis=1)
        if odd.any():
            first = int(odd.argmax())
            raise DataError(f"the train target {first} is {values[first].tolist()}; remove or repair it", first)
        return cls(tuple(names), tuple(values.mean(axis=0).tolist()), tuple(values.std(axis=0).tolist()), **options)

    def of_weights(self, trained: Task) -> Task:
        """Return the trained task, whose mean and standard deviation its weights' outputs need.

        Raises:
            DataError: It has other targets.
        """
        super().of_weights(trained)
        return trained

    @property
    def outputs(self) -> tuple[str, ...]:
        """The targets."""
        return self.targets

    def check(self, targets: Tensor, split: str) -> Tensor:
        """Return finite floats ``(examples, targets)``.

        Raises:
            DataError: A NaN or an infinity, or other columns.
        """
        return require_finite(require_columns(targets, self.targets, split), split)

    def loss(
        self, outputs: Tensor, targets: Tensor, *, smoothing: float = 0.0, weights: Tensor | None = None
    ) -> Tensor:
        """Return the criterion, averaged over targets."""
        return self._errors(outputs, self._standardised(targets, outputs)).mean()

    def distillation(self, outputs: Tensor, teacher: Tensor, *, hard: bool = False, temperature: float = 1.0) -> Tensor:
        """Return the criterion towards the teacher's outputs."""
        return self._errors(outputs, teacher).mean()

    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """Return each example's loss, and its absolute error: of several targets the mean, in standard deviations."""
        wanted = self._standardised(targets, outputs)
        unit = self.std[0] if len(self.std) == 1 else 1.0
        return {"loss": self._errors(outputs, wanted).mean(1), "mae": unit * (outputs - wanted).abs().mean(1)}

    def evaluate(self, outputs: Array, targets: NDArray[Any]) -> Figures:
        """Return R², averaged over targets, with the MAE of each in its unit and its R²."""
        from sklearn.metrics import r2_score

        told = self.values(outputs)
        r2 = np.full(len(self.targets), np.nan)
        if len(targets) > 1:
            r2 = np.asarray(r2_score(targets.astype(np.float64), told, multioutput="raw_values")).reshape(-1)
        mae = np.abs(told - targets).mean(axis=0)
        shares = [None if np.isnan(each) else float(each) for each in r2]
        return {
            "r2": None if None in shares else float(r2.mean()),
            "per_target": [
                {"target": name, "mae": float(error), "r2": share}
                for name, error, share in zip(self.targets, mae, shares, strict=True)
            ],
        }

    def predictions(self, outputs: Array, top: int = 5) -> list[Figures]:
        """Return the value of each target, in its unit."""
        return [{"values": dict(zip(self.targets, map(float, row), strict=True))} for row in self.values(outputs)]

    def values(self, outputs: Array) -> NDArray[np.float64]:
        """Return outputs ``(examples, targets)`` in the targets' units."""
        values: NDArray[np.float64] = outputs.astype(np.float64) * np.array(self.std) + np.array(self.mean)
        return values

    def _standardised(self, targets: Tensor, outputs: Tensor) -> Tensor:
        targets = require_shape(targets, outputs)
        return (targets - targets.new_tensor(self.mean)) / targets.new_tensor(self.std)

    def _errors(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        from torch.nn import functional as F

        if self.criterion == "mse":
            return (outputs - wanted).square()
        return F.smooth_l1_loss(outputs, wanted, reduction="none")
