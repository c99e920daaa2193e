"""Checks of targets and of the values of tasks; each error is one line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nasformer.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


def require_finite(targets: Tensor, split: str) -> Tensor:
    """Return targets as floats.

    Raises:
        DataError: One is a NaN, or infinite in single precision; the message names the example.
    """
    values = targets.float()
    bad = ~values.isfinite().flatten(1).all(dim=1) if values.ndim > 1 else ~values.isfinite()
    if bad.any():
        first = int(bad.nonzero()[0])
        raise DataError(f"the {split} target {first} is {targets[first].tolist()}; remove or repair it", first)
    return values


def require_columns(targets: Tensor, names: Sequence[str], split: str) -> Tensor:
    """Return targets with one column per name.

    Raises:
        DataError: The columns differ in number.
    """
    if targets.ndim != 2 or targets.shape[1] != len(names):
        raise DataError(
            f"the {split} targets are {tuple(targets.shape)}, expected (examples, {len(names)}): {', '.join(names)}",
            targets,
        )
    return targets


def require_shape(targets: Tensor, outputs: Tensor) -> Tensor:
    """Return targets of a batch as floats.

    Raises:
        DataError: Their shape is not that of the outputs, so that the difference would be broadcast.
    """
    if targets.shape != outputs.shape:
        raise DataError(
            f"the targets of a batch are {tuple(targets.shape)}, its outputs {tuple(outputs.shape)}; "
            f"each example needs {outputs.shape[-1]} numbers",
            targets,
        )
    return targets if targets.is_floating_point() else targets.float()


def require_names(names: Sequence[str], what: str) -> None:
    """Check the names of outputs.

    Raises:
        DataError: There is none, one is no string, or two are equal.
    """
    if not is_strings(names) or len(set(names)) != len(names) or not names:
        raise DataError(f"{what} must be one or more different names, got {names!r}", names)


def is_strings(names: object) -> bool:
    """Whether names are a tuple of strings."""
    return isinstance(names, tuple) and all(isinstance(name, str) for name in names)


def require_spread(
    names: Sequence[str], mean: Sequence[float], std: Sequence[float], what: str, *, least: float
) -> None:
    """Check the means and standard deviations by which columns are standardised.

    Args:
        names: Names of the columns.
        mean: The mean of each.
        std: The standard deviation of each.
        what: A column in words: "target".
        least: Smallest ratio of deviation to mean that is no rounding error.

    Raises:
        DataError: Not one finite number per column, or a column that does not vary.
    """
    for key, values in (("mean", mean), ("std", std)):
        if not isinstance(values, tuple) or len(values) != len(names) or not all(map(_is_number, values)):
            raise DataError(f"{key} must be one finite number per {what} ({', '.join(names)}), got {values!r}", values)
    for name, centre, deviation in zip(names, mean, std, strict=True):
        if not deviation > least * abs(centre):
            raise DataError(
                f"{what} {name!r} is the same in all train examples, up to rounding "
                f"(mean {centre:g}, standard deviation {deviation:g}); leave it out",
                name,
            )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
