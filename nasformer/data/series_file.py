"""Files of time series: CSV or Parquet with a column of times, the others channels; read without torch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasformer._parquet import read_parquet
from nasformer.errors import DataError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("refuse", "linear", "forward")
_CALENDARS = ("MS", "ME", "QS", "QE", "YS", "YE", "B")
_TIMES = ("date", "datetime", "time", "timestamp")
_LOGGER = logging.getLogger("nasformer.data")


@dataclass(frozen=True)
class SeriesTable:
    """Series of evenly spaced values.

    Attributes:
        times: Time of each row, ascending.
        frequency: Their step, to be added to a time: a time span, or a calendar's offset.
        names: Names of the channels.
        values: ``(rows, channels)``, finite.
        filled: Number of missing values that were filled.
    """

    times: pd.DatetimeIndex
    frequency: Any
    names: tuple[str, ...]
    values: NDArray[np.float64]
    filled: int = 0

    def after(self, steps: int) -> pd.DatetimeIndex:
        """Return the times of the next steps."""
        import pandas as pd

        return pd.date_range(self.times[-1], periods=steps + 1, freq=self.frequency)[1:]


def read_series(
    path: str | Path, *, time: str | None = None, channels: Sequence[str] | None = None, missing: str = "refuse"
) -> SeriesTable:
    """Return the series of a file; the arguments are those of ``load_series``.

    Raises:
        DataError: The file is unreadable, uneven in time, or has missing values.
    """
    import pandas as pd

    if missing not in MISSING:
        raise DataError(f"missing is {', '.join(MISSING)}, got {missing!r}; {did_you_mean(missing, MISSING)}", missing)
    frame = _read(Path(path))
    column = _time_column(frame, time, path)
    try:
        times = pd.DatetimeIndex(pd.to_datetime(frame[column]))
    except (ValueError, TypeError) as error:
        raise DataError(f"column {column!r} of {path} holds no times: {str(error).splitlines()[0]}", column) from error
    frequency = _frequency(times, column, path)
    values = _numbers(frame.drop(columns=column), channels, path)
    holes = int(values.isna().to_numpy().sum())
    return SeriesTable(times, frequency, tuple(map(str, values)), _complete(values, missing, path), holes)


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    if path.suffix not in (".csv", ".parquet"):
        raise DataError(f"a series is a .csv or .parquet file, got {str(path)!r}", path)
    try:
        frame = pd.read_csv(path) if path.suffix == ".csv" else read_parquet(path, DataError)
    except FileNotFoundError as error:
        raise DataError(f"there is no series {path}", path) from error
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"cannot read the series {path}: {str(error).splitlines()[0]}", path) from error
    if frame.empty:
        raise DataError(f"the series {path} has no rows", path)
    return frame


def _time_column(frame: pd.DataFrame, time: str | None, path: object) -> str:
    names = [str(name) for name in frame.columns]
    if time is not None and time not in names:
        raise DataError(f"{path} has no column {time!r}; {did_you_mean(time, names)}", time)
    found = [time] if time is not None else [name for name in names if name.lower() in _TIMES]
    if not found:
        raise DataError(f"{path} has no column named {', '.join(_TIMES)}; name that of the times with time=", names)
    return found[0]


def _frequency(times: pd.DatetimeIndex, column: str, path: object) -> Any:
    """Return the step of evenly spaced times: a time span, or a calendar's such as months and business days.

    Raises:
        DataError: A time is missing, or they do not ascend evenly.
    """
    import pandas as pd

    if times.hasnans:
        row = int(np.flatnonzero(times.isna())[0])
        raise DataError(f"row {row + 1} of {path} has no {column}; remove or repair it", row)
    if len(times) < 2:
        raise DataError(f"the series {path} has one row", path)
    steps = np.diff(times.to_numpy())
    usual = pd.Timedelta(pd.Series(steps).mode()[0])
    if usual > pd.Timedelta(0) and (steps == usual).all():
        return usual
    for calendar in _CALENDARS:
        if times.equals(pd.date_range(times[0], periods=len(times), freq=calendar)):
            return pd.tseries.frequencies.to_offset(calendar)
    row = int(np.flatnonzero(steps != usual)[0]) if usual > pd.Timedelta(0) else 0
    raise DataError(
        f"{path} is uneven in time: {column} steps by {pd.Timedelta(steps[row])} from {times[row]} to {times[row + 1]} "
        f"(row {row + 2}), mostly by {usual}; resample it",
        times[row + 1],
    )


def _numbers(frame: pd.DataFrame, channels: Sequence[str] | None, path: object) -> pd.DataFrame:
    """Return the channels as numbers."""
    import pandas as pd

    names = list(map(str, frame.columns)) if channels is None else list(channels)
    for name in names:
        if name not in frame:
            raise DataError(f"{path} has no channel {name!r}; {did_you_mean(name, map(str, frame.columns))}", name)
        if not pd.api.types.is_numeric_dtype(frame[name]) or pd.api.types.is_bool_dtype(frame[name]):
            bad = pd.to_numeric(frame[name], errors="coerce").isna() & frame[name].notna()
            row = int(np.flatnonzero(bad)[0]) if bad.any() else 0
            raise DataError(
                f"channel {name!r} of {path} is not numeric: row {row + 1} holds {frame[name].iloc[row]!r}; "
                "leave it out with channels=",
                name,
            )
    if not names:
        raise DataError(f"{path} has no channel beside its times", path)
    return frame[names].replace([np.inf, -np.inf], np.nan)


def _complete(values: pd.DataFrame, missing: str, path: object) -> NDArray[np.float64]:
    """Return values without holes: refused, or filled and counted in a log line."""
    holes = values.isna().to_numpy()
    if not holes.any():
        return values.to_numpy(dtype=np.float64)
    row, column = (int(index) for index in np.argwhere(holes)[0])
    where = f"{int(holes.sum()):,} missing values, the first in row {row + 1}, channel {values.columns[column]!r}"
    if missing == "refuse":
        raise DataError(f"{path} has {where}; fill them, or take missing='linear' or 'forward'", path)
    filled = values.interpolate(limit_direction="both") if missing == "linear" else values.ffill()
    if filled.isna().to_numpy().any():
        raise DataError(f"{path} has {where}, with nothing before it to fill it; take missing='linear'", path)
    _LOGGER.info("%s: %s; filled: %s", path, where, missing)
    return filled.to_numpy(dtype=np.float64)
