"""Forecasts of series files in the units of their channels, after their last time; without torch for onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nasformer.errors import DataError, ExportError
from nasformer.export.opened import Model
from nasformer.tasks.forecasting import Forecasting

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


def forecast(model: Model, path: str | Path, *, time: str | None = None) -> pd.DataFrame:
    """Return the rows that follow a series: the channels of the model's task by time.

    Args:
        model: A forecaster.
        path: CSV or Parquet file as of ``load_series``; its last rows are the look-back.
        time: The column of times; None: found by name.

    Raises:
        DataError: The file is unreadable, uneven in time, too short, or lacks a channel.
        ExportError: The model does not forecast.
    """
    import pandas as pd

    from nasformer.data.series_file import read_series

    task, (_, length) = _task(model), model.description.input_shape
    table = read_series(path, time=time, channels=task.channels, holes=True)
    if len(table.times) < length:
        raise DataError(f"{path} has {len(table.times)} rows, but the network reads the last {length}", path)
    mean, std, last = np.array(task.mean), np.array(task.std), table.values[-length:]
    if np.isnan(last).any():
        row, column = np.argwhere(np.isnan(last))[0]
        place = len(table.times) - length + int(row) + 1
        raise DataError(f"{path} has no value in row {place}, channel {task.channels[column]!r}; fill it", place)
    windows = ((last - mean) / std).T.astype(np.float32)  # (channels, length)
    outputs = model.run(np.ascontiguousarray(windows[:, None])).T  # (horizon, channels)
    times = table.after(task.horizon).rename("time")
    return pd.DataFrame(outputs.astype(np.float64) * std + mean, index=times, columns=list(task.channels))


def _task(model: Model) -> Forecasting:
    task = model.description.task
    if not isinstance(task, Forecasting):
        raise ExportError(f"{model.path} does not forecast: its task is {task.name}", task)
    return task
