"""series:FILE: windows of time series from CSV or Parquet, one example per window and channel, split in time.

The look-back of a search or test window may reach into the part before; its targets never do (Zhou et al., "Informer",
AAAI 2021, whose splits and standardisation the field follows).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nasformer.data.dataset import SPLITS, Dataset
from nasformer.data.names import SERIES, join_name, texts
from nasformer.data.series_file import SeriesTable, fill, read_series
from nasformer.errors import DataError
from nasformer.tasks import get_task

DEFAULTS, FRACTIONS = {"length": 336, "horizon": 96}, (0.7, 0.1, 0.2)
MOST = 1e12


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
        missing: Missing values are an error ("refuse", the default), interpolated within their part ("linear"), or the
            last one known ("forward").

    Raises:
        DataError: The file is unreadable, uneven in time, has missing values, or is too short.
    """
    options = {"length": length, "horizon": horizon, "splits": splits, "time": time, "channels": channels}
    given = texts({**options, "missing": missing})
    length, horizon = (_whole(key, given.get(key, str(default))) for key, default in DEFAULTS.items())
    named = given["channels"].split(",") if "channels" in given else None
    table = read_series(path, time=given.get("time"), channels=named, holes=True)
    shares = [_number("splits", each) for each in given["splits"].split(",")] if "splits" in given else FRACTIONS
    rows = _rows(shares, len(table.times), length, horizon)
    table = fill(table, given.get("missing", "refuse"), [end for _, end in rows.values()], path)
    values, mean, std = _standardised(table, rows["train"][1], path)
    first = {key: (part[0] + (length if key == "train" else 0), part[1]) for key, part in rows.items()}
    parts: dict[str, Any] = {key: SeriesWindows(values, part, length, horizon) for key, part in first.items()}
    record: dict[str, Any] = {
        "name": join_name(SERIES, path, given),
        "seed": None,
        "splits": {key: len(part) for key, part in parts.items()},
        "rows": {key: list(part) for key, part in rows.items()},
        "filled": table.filled,
        "fingerprint": _fingerprint(table, rows, length, horizon),
        "split_fingerprint": _split_fingerprint(path, rows),
    }
    task = get_task("forecasting")(horizon, table.names, mean, std)
    return Dataset(**parts, name=record["name"], task=task, record=record)


def _standardised(table: SeriesTable, train: int, path: object) -> tuple[Tensor, tuple[float, ...], tuple[float, ...]]:
    """Return values ``(channels, rows)`` and the mean and deviation of the first rows, by which they are standardised.

    Raises:
        DataError: A channel does not vary in its train part, or its values are too large.
    """
    known = table.values[:train]
    with np.errstate(all="ignore"):
        mean, std = known.mean(axis=0), known.std(axis=0)
        values = ((table.values - mean) / std).T.astype(np.float32)
    for place, channel in enumerate(table.names):
        if known[:, place].min() == known[:, place].max():
            raise DataError(f"channel {channel!r} of {path} is constant in its train part; leave it out", channel)
        if not (np.isfinite(std[place]) and np.isfinite(values[place]).all()):
            most = np.abs(table.values[:, place]).max()
            words = f"values up to {most:g}, too large for its deviation {std[place]:g} in the train part"
            raise DataError(f"channel {channel!r} of {path} has {words}; repair it, or leave it out", channel)
    return torch.from_numpy(values.copy()), tuple(mean.tolist()), tuple(std.tolist())


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not abs(number) < MOST:
        raise DataError(f"{name} of a series takes numbers below {MOST:g}, got {text!r}; give a number of steps", text)
    return number


def _whole(name: str, text: str) -> int:
    number = _number(name, text)
    if number % 1:
        raise DataError(f"{name} of a series is a whole number of steps, got {text!r}; round it", text)
    return int(number)


def _rows(splits: Sequence[float], rows: int, length: int, horizon: int) -> dict[str, tuple[int, int]]:
    """Return first and last row of each part, half open."""
    if length < 1 or horizon < 1:
        raise DataError(f"length and horizon are at least 1, got {length} and {horizon}", (length, horizon))
    if len(splits) != len(SPLITS) or min(splits) <= 0:
        raise DataError(f"splits are rows or fractions of train, search and test, got {list(splits)}", splits)
    fractions = sum(splits) <= 1 + 1e-9
    if not fractions and any(size % 1 for size in splits):
        raise DataError(f"splits are whole rows, or fractions that sum to 1 at most, got {list(splits)}", splits)
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


def _split_fingerprint(path: str | Path, rows: Mapping[str, Any]) -> str:
    """Return the fingerprint of file and parts, alike for all channels, horizons and look-backs."""
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(f"{dict(rows)}".encode())
    return digest.hexdigest()
