"""series:FILE: windows of time series from CSV or Parquet, one example per window and channel, split in time.

The look-back of a search or test window may reach into the part before; its targets never do (Zhou et al., "Informer",
AAAI 2021, whose splits and standardisation the field follows).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nasformer._parquet import read_parquet
from nasformer.data.dataset import SPLITS, Dataset
from nasformer.data.names import SERIES, join_name
from nasformer.errors import DataError, did_you_mean
from nasformer.tasks import get_task

if TYPE_CHECKING:
    import pandas as pd

LENGTH, HORIZON, FRACTIONS = 336, 96, (0.7, 0.1, 0.2)
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


class SeriesWindows(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Windows of a series, one example per window and channel: input ``(1, length)``, target ``(horizon,)``.

    Args:
        values: Standardised values ``(channels, rows)``.
        rows: First and last row of the targets, half open.
        length: Time steps of an input, before the targets.
        horizon: Time steps of a target.
    """

    def __init__(self, values: Tensor, rows: tuple[int, int], length: int, horizon: int) -> None:
        self.values, self.rows, self.length, self.horizon = values, rows, length, horizon
        self._frames = values.unfold(1, length + horizon, 1)  # (channels, frames, length + horizon), a view

    def __len__(self) -> int:
        return len(self.values) * (self.rows[1] - self.rows[0] - self.horizon + 1)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        inputs, targets = self.batch(torch.tensor([range(len(self))[index]]), self.values.device)
        return inputs[0], targets[0]

    def __reduce__(self) -> tuple[Any, ...]:
        return SeriesWindows, (self.values, self.rows, self.length, self.horizon)

    def batch(self, places: slice | Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return inputs ``(batch, 1, length)`` and targets ``(batch, horizon)``."""
        if isinstance(places, slice):
            places = torch.arange(places.start, places.stop)
        places, channels = places.to(self.values.device), len(self.values)
        frames = self._frames[places % channels, places // channels + self.rows[0] - self.length].to(device)
        return frames[:, None, : self.length], frames[:, self.length :]

    def to(self, device: torch.device | str) -> SeriesWindows:
        """Return the same windows on ``device``."""
        return SeriesWindows(self.values.to(device), self.rows, self.length, self.horizon)


def load_series(
    path: str | Path,
    *,
    length: int | str | None = None,
    horizon: int | str | None = None,
    splits: str | Sequence[float] | None = None,
    time: str | None = None,
    channels: str | Sequence[str] | None = None,
    missing: str | None = None,
) -> Dataset:
    """Return the windows of a series for forecasting.

    Values are standardised with mean and standard deviation of the train part of their channel. The options are part of
    the recorded name, as in ``series:ETTh1.csv?horizon=96&splits=8640,2880,2880``.

    Args:
        path: CSV or Parquet file: one row per time step, a column of times, the others channels.
        length: Look-back, in time steps; None: 336.
        horizon: Time steps to forecast; None: 96.
        splits: Rows of train, search and test, from the start, as a list or separated by commas: counts, or fractions
            of all rows; None: 70, 10 and 20 %.
        time: The column of times; None: the first named "date", "datetime", "time" or "timestamp".
        channels: The columns to forecast, as a list or separated by commas; None: all others.
        missing: Missing values are an error ("refuse", the default), interpolated ("linear"), or the last one known
            ("forward").

    Raises:
        DataError: The file is unreadable, uneven in time, has missing values, or is too short.
    """
    options = {"length": length, "horizon": horizon, "splits": splits, "time": time, "channels": channels}
    name = join_name(SERIES, path, {**options, "missing": missing})
    length, horizon = (int(_number(each, default)) for each, default in ((length, LENGTH), (horizon, HORIZON)))
    table = read_series(path, time=time, channels=_listed(channels), missing=missing or "refuse")
    rows = _rows([_number(each, 0) for each in _listed(splits) or FRACTIONS], len(table.times), length, horizon)
    start, stop = rows["train"]
    mean, std = table.values[start:stop].mean(axis=0), table.values[start:stop].std(axis=0)
    for channel, deviation in zip(table.names, std, strict=True):
        if not deviation > 0:
            raise DataError(f"channel {channel!r} of {path} is constant in its train part; leave it out", channel)
    values = torch.from_numpy(((table.values - mean) / std).T.astype(np.float32).copy())
    first = {key: (part[0] + (length if key == "train" else 0), part[1]) for key, part in rows.items()}
    parts: dict[str, Any] = {key: SeriesWindows(values, part, length, horizon) for key, part in first.items()}
    record: dict[str, Any] = {
        "name": name,
        "seed": None,
        "splits": {key: len(part) for key, part in parts.items()},
        "rows": {key: list(part) for key, part in rows.items()},
        "filled": table.filled,
        "fingerprint": _fingerprint(table, rows, length, horizon),
    }
    task = get_task("forecasting")(horizon, table.names, tuple(mean.tolist()), tuple(std.tolist()))
    return Dataset(**parts, name=name, task=task, record=record)


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


def _listed(option: str | Sequence[Any] | None) -> list[Any] | None:
    return option.split(",") if isinstance(option, str) else None if option is None else list(option)


def _number(option: object, default: float) -> float:
    try:
        return default if option is None else float(option)  # type: ignore[arg-type]  # refused if it is none
    except (TypeError, ValueError):
        raise DataError(f"length, horizon and splits of a series are numbers, got {option!r}", option) from None


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


def _rows(splits: Sequence[float], rows: int, length: int, horizon: int) -> dict[str, tuple[int, int]]:
    """Return first and last row of each part, half open."""
    if length < 1 or horizon < 1:
        raise DataError(f"length and horizon are at least 1, got {length} and {horizon}", (length, horizon))
    if len(splits) != len(SPLITS) or min(splits) <= 0:
        raise DataError(f"splits are rows or fractions of train, search and test, got {list(splits)}", splits)
    fractions = sum(splits) <= 1 + 1e-9
    sizes = np.array(splits) * rows if fractions else np.array(splits)
    ends = [0, *np.floor(np.cumsum(sizes) + 1e-6).astype(int).tolist()]
    if ends[-1] > rows:
        raise DataError(f"splits {list(splits)} need {ends[-1]:,} rows, but there are {rows:,}", splits)
    parts = {key: (ends[place], ends[place + 1]) for place, key in enumerate(SPLITS)}
    for key, (start, stop) in parts.items():
        needed = horizon + (length if key == "train" else 0)
        if stop - start < needed or stop < length + horizon:
            raise DataError(
                f"the {key} part has {stop - start:,} rows, but a window of look-back {length} and horizon {horizon} "
                f"needs {needed:,}; shorten them, or give more rows",
                (start, stop),
            )
    return parts


def _fingerprint(table: SeriesTable, rows: Mapping[str, Any], length: int, horizon: int) -> str:
    digest = hashlib.sha256(f"{table.names} {dict(rows)} {length} {horizon}\n".encode())
    digest.update(table.values.tobytes())
    return digest.hexdigest()
