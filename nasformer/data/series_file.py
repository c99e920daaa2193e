"""Files of time series: CSV or Parquet with a column of times, the others channels; read without torch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasformer.data.table_file import column_names, read_frame, read_table
from nasformer.errors import DataError, did_you_mean, shown

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
        values: ``(rows, channels)``, finite, or NaN where missing.
        filled: Number of missing values that were filled.
    """

    times: pd.DatetimeIndex
    frequency: Any
    names: tuple[str, ...]
    values: NDArray[np.float64]
    filled: int = 0

    def after(self, steps: int) -> pd.DatetimeIndex:
        """Return the times of the next steps.

        Raises:
            DataError: They are beyond the calendar.
        """
        import pandas as pd

        try:
            return pd.date_range(self.times[-1], periods=steps + 1, freq=self.frequency)[1:]
        except (ValueError, OverflowError) as error:
            raise DataError(
                f"{steps} steps after {self.times[-1]} are beyond the calendar; repair it", steps
            ) from error


def read_series(
    path: str | Path, *, time: str | None = None, channels: Sequence[str] | None = None, holes: bool = False
) -> SeriesTable:
    """Return the series of a file.

    Args:
        path: CSV or Parquet file as of ``load_series``.
        time: The column of times; None: found by name.
        channels: The columns of the channels; None: all others.
        holes: Whether missing values are returned, as NaN, and not refused.

    Raises:
        DataError: The file is unreadable, uneven in time, or has missing values.
    """
    path = Path(path)
    frame = read_table(path, "series", csv=_csv, parquet=read_frame)
    if frame.empty:
        raise DataError(f"the series {path} has no rows", path)
    column = _time_column(frame, time, path)
    times = _times(frame[column], column, path)
    frequency = _frequency(times, column, path)
    try:
        values = _numbers(frame.drop(columns=column), channels, path)
    except OverflowError as error:
        raise DataError(f"{path} holds a number beyond the range of numbers; repair it", path) from error
    table = SeriesTable(times, frequency, tuple(map(str, values)), values.to_numpy(dtype=np.float64, na_value=np.nan))
    return table if holes else fill(table, "refuse", [len(times)], path)


def fill(table: SeriesTable, missing: str, ends: Sequence[int], path: object) -> SeriesTable:
    """Return the rows of parts without missing values; those filled are counted and told.

    Args:
        table: A series with missing values as NaN.
        missing: "refuse", "linear": interpolated within each part, as a value of a later part is not known in an
            earlier one, or "forward": the last known value.
        ends: Row after the last one of each part; the first starts at row 0.
        path: The file, for messages.

    Raises:
        DataError: There are missing values and ``missing`` is "refuse", or nothing to fill them by.
    """
    import pandas as pd

    if missing not in MISSING:
        raise DataError(f"missing is {', '.join(MISSING)}, got {missing!r}; {did_you_mean(missing, MISSING)}", missing)
    values = pd.DataFrame(table.values[: ends[-1]], columns=list(table.names))
    holes = np.argwhere(values.isna())
    if len(holes):
        where = f"{len(holes):,} missing values, the first in {_place(table, holes[0])}"
        if missing == "refuse":
            raise DataError(f"{path} has {where}; fill them, or take missing='linear' or 'forward'", path)
        parts = [values[start:end] for start, end in pairwise([0, *ends])]
        linear = missing == "linear"
        values = pd.concat([part.interpolate(limit_direction="both") for part in parts]) if linear else values.ffill()
        for hole in np.argwhere(values.isna())[:1]:
            no, way = ("in its part", "leave it out") if linear else ("before it", "take missing='linear'")
            raise DataError(f"{path}: {_place(table, hole)}, has nothing {no} to fill it; {way}", path)
        _LOGGER.warning("%s: %s; filled: %s", path, where, missing)
    return replace(table, times=table.times[: ends[-1]], values=values.to_numpy(), filled=len(holes))


def _place(table: SeriesTable, hole: NDArray[np.int64]) -> str:
    return f"row {hole[0] + 1}, channel {table.names[hole[1]]!r}"


def _csv(path: Path) -> pd.DataFrame:
    import pandas as pd

    first = pd.read_csv(path, header=None, nrows=1, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    names = column_names(path, first.iloc[0])
    frame = pd.read_csv(path, header=0, names=names, encoding="utf-8-sig")
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataError(f"{path} has rows with more cells than its {len(names)} columns; repair the header", names)
    return frame


def _time_column(frame: pd.DataFrame, time: str | None, path: object) -> str:
    names = list(map(str, frame))
    if time is not None and time not in names:
        raise DataError(f"{path} has no column {time!r}; {did_you_mean(time, names)}", time)
    found = [time] if time is not None else [name for name in names if name.lower() in _TIMES]
    if not found:
        raise DataError(f"{path} has no column named {', '.join(_TIMES)}; name that of the times with time=", names)
    return found[0]


def _times(cells: pd.Series[Any], column: str, path: object) -> pd.DatetimeIndex:
    """Return the times of a column: dates of any format that pandas knows, or years."""
    import pandas as pd

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pandas, about formats that differ
            numbers = pd.api.types.is_numeric_dtype(cells)
            return pd.DatetimeIndex(_years(cells, column, path) if numbers else pd.to_datetime(cells))
    except (ValueError, TypeError, OverflowError) as error:
        reason = str(error).splitlines()[0].partition(". ")[0]  # without pandas' advice to programmers
        raise DataError(
            f"column {column!r} of {path} holds no times: {reason}; write 2024-01-31 13:00", column
        ) from error


def _years(cells: pd.Series[Any], column: str, path: object) -> pd.Series[Any]:
    """Return years as dates: pandas would take numbers for nanoseconds."""
    import pandas as pd

    known = cells.dropna().astype(float)
    for number in known[(known % 1 != 0) | ~known.between(1000, 2999)][:1]:
        raise DataError(
            f"column {column!r} of {path} holds numbers as {number:.10g}, but times are dates as 2024-01-31, or years; "
            "convert them",
            column,
        )
    return pd.to_datetime(cells.map("{:.0f}-01-01".format, na_action="ignore"), format="%Y-%m-%d")


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
        with suppress(ValueError, OverflowError):  # beyond the calendar
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

    known = list(map(str, frame))
    names = known if channels is None else list(channels)
    for place, name in enumerate(names):
        if name in names[:place]:
            raise DataError(f"channel {name!r} is named twice; keep one", name)
        if name not in frame:
            raise DataError(f"{path} has no channel {name!r}; {did_you_mean(name, known)}", name)
        if not pd.api.types.is_numeric_dtype(frame[name]) or pd.api.types.is_bool_dtype(frame[name]):
            bad = pd.to_numeric(frame[name], errors="coerce").isna() & frame[name].notna()
            row = int(np.flatnonzero(bad)[0]) if bad.any() else 0
            raise DataError(
                f"channel {name!r} of {path} is not numeric: row {row + 1} holds {shown(frame[name].iloc[row])}; "
                "leave it out with channels=",
                name,
            )
    if not names:
        raise DataError(f"{path} has no channel beside its times", path)
    return frame[names].replace([np.inf, -np.inf], np.nan)
