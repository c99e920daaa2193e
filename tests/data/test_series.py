"""Series: windows without leaks, splits in time, standardised by the train part, and bad input in one line."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nasformer.data import iterate, load_dataset
from nasformer.data.series import SeriesWindows, load_series
from nasformer.data.series_file import fill, read_series
from nasformer.errors import DataError
from nasformer.tasks import task_of
from nasformer.training.opening import require_same_splits

REFERENCE = Path(os.environ.get("NASFORMER_REFERENCE", "../shared")) / "series"


def frame(rows: int = 200, **columns: Any) -> pd.DataFrame:
    steps = np.arange(rows, dtype=float)
    times = pd.date_range("2024-01-01", periods=rows, freq="h")
    return pd.DataFrame({"date": times, "a": steps, "b": 3 * np.sin(steps), **columns})


def csv(folder: Path, table: pd.DataFrame, name: str = "series.csv") -> Path:
    table.to_csv(folder / name, index=False)
    return folder / name


def test_windows_are_the_rows_before_and_after(tmp_path: Path) -> None:
    data = load_series(csv(tmp_path, frame()), length=10, horizon=4, splits=(100, 40, 60))
    mean, std = data.task.mean[0], data.task.std[0]  # type: ignore[attr-defined]
    rows = {}
    for key, split in data.splits.items():
        inputs, targets = next(iterate(split, len(split)))
        back = (
            torch.cat((inputs[:, 0], targets), dim=1)[::2] * std + mean
        )  # every other example is of channel a: 0, 1, …
        steps = back[:, :1] + torch.arange(14)
        assert torch.allclose(back, steps, atol=1e-3)
        rows[key] = (round(float(back[0, 10])), round(float(back[-1, -1])))
        assert len(split) == 2 * (rows[key][1] - rows[key][0] - 4 + 2)
    assert rows == {"train": (10, 99), "search": (100, 139), "test": (140, 199)}
    assert (data.input_shape, data.num_classes, data.record["rows"]["search"]) == ((1, 10), 4, [100, 140])


def test_values_are_standardised_by_the_train_part_alone(tmp_path: Path) -> None:
    table = frame()
    data = load_series(csv(tmp_path, table), length=10, horizon=4)
    assert data.task.mean == pytest.approx([69.5, table["b"][:140].mean()])  # type: ignore[attr-defined]
    assert data.task.std == pytest.approx(table[["a", "b"]][:140].std(ddof=0).tolist())  # type: ignore[attr-defined]
    later = table.copy()
    later.loc[140:, "a"] = 1e6
    other = load_series(csv(tmp_path, later, "later.csv"), length=10, horizon=4)
    assert torch.equal(*(each.train[len(each.train) - 1][1] for each in (data, other)))
    assert data.record["fingerprint"] != other.record["fingerprint"]


def test_a_split_travels_and_moves(tmp_path: Path) -> None:
    split = load_series(csv(tmp_path, frame()), length=10, horizon=4).search
    assert isinstance(split, SeriesWindows)
    again = pickle.loads(pickle.dumps(split))
    assert torch.equal(again[-1][1], split[len(split) - 1][1])
    assert len(pickle.dumps(split)) < 20_000  # the series once, not its windows
    assert len(split.to("cpu")) == len(split) == 2 * (20 - 4 + 1)
    with pytest.raises(IndexError):
        split[len(split)]


def test_a_record_gives_the_task_back(tmp_path: Path) -> None:
    data = load_series(csv(tmp_path, frame()), length=10, horizon=4)
    assert task_of(data.record) == data.task
    assert data.task.outputs == ("+1", "+2", "+3", "+4")


def test_another_horizon_searches_only_the_parts_of_the_training(tmp_path: Path) -> None:
    path = csv(tmp_path, frame())
    trained = load_series(path, length=10, horizon=4).record
    others: list[dict[str, Any]] = [{"length": 12}, {"horizon": 2}, {"channels": "b"}, {"splits": (140, 20, 40)}]
    for same in others:
        data = load_series(path, **{"length": 10, "horizon": 4, **same})
        require_same_splits(data, data.name, trained, "net")
    for table, splits in ((frame(), "120,40,40"), (frame().assign(a=lambda rows: rows["a"] + 1), None)):
        data = load_series(csv(tmp_path, table), length=10, horizon=4, splits=splits)
        with pytest.raises(DataError, match=r"splits of .* differ from those in the training of net"):
            require_same_splits(data, data.name, trained, "net")


@pytest.mark.parametrize(("missing", "expected"), [("linear", 5.5), ("forward", 5.0)])
def test_missing_values_are_filled_by_option_counted_and_told(
    missing: str, expected: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = frame(20)
    table.loc[[6], "a"] = np.nan
    table.loc[5, "a"], table.loc[7, "a"] = 5.0, 6.0
    found = fill(read_series(csv(tmp_path, table), holes=True), missing, [20], "x.csv")
    assert (found.values[6, 0], found.filled) == (expected, 1)
    assert f"x.csv: 1 missing values, the first in row 7, channel 'a'; filled: {missing}" in caplog.text
    with pytest.raises(DataError, match=r"1 missing values, the first in row 7, channel 'a'; .*missing='linear'"):
        read_series(tmp_path / "series.csv")


@pytest.mark.parametrize("missing", ["linear", "forward"])
def test_no_part_is_filled_by_a_later_one(missing: str, tmp_path: Path) -> None:
    table = frame()
    table.loc[135:144, "a"] = np.nan
    later = table.assign(a=table["a"].where(table.index < 140, table["a"] + 1e6))
    paths = csv(tmp_path, table), csv(tmp_path, later, "later.csv")
    one, other = (load_series(path, length=10, horizon=4, splits="140,40,15", missing=missing) for path in paths)
    assert one.task == other.task
    assert torch.equal(one.train[len(one.train) - 2][1], other.train[len(one.train) - 2][1])
    assert (one.record["filled"], one.record["rows"]["test"]) == (10, [180, 195])
    back = other.search[0][1] * one.task.std[0] + one.task.mean[0]  # type: ignore[attr-defined]
    assert back.tolist() == pytest.approx([1e6 + 145.0] * 4 if missing == "linear" else [134.0] * 4)


def test_years_are_times_and_other_numbers_are_not(tmp_path: Path) -> None:
    years = frame(30).assign(date=np.arange(1850, 1880))
    assert str(read_series(csv(tmp_path, years)).after(1)[0].date()) == "1880-01-01"
    for numbers in (np.arange(30), np.arange(30) + 1900.5, 20240101 + np.arange(30), 1.7e9 + np.arange(30)):
        path = csv(tmp_path, frame(30).assign(date=numbers))
        with pytest.raises(DataError, match=rf"'date' of .* holds numbers as {numbers[0]:.10g}, but times are dates"):
            read_series(path)


def test_csv_and_parquet_are_the_same_series(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    table = frame(30).rename(columns={"a": " a "})
    table.set_index("date").to_parquet(tmp_path / "series.parquet")
    csv(tmp_path, table, "series.CSV")
    one, other = (read_series(tmp_path / f"series.{suffix}") for suffix in ("parquet", "CSV"))
    assert one.names == other.names == ("a", "b")
    assert one.times.equals(other.times)
    assert np.allclose(one.values, other.values)


def test_a_path_with_a_question_mark_is_recorded(tmp_path: Path) -> None:
    data = load_series(csv(tmp_path, frame(), "what?%3F.csv"), length=10, horizon=4)
    assert load_dataset(data.name).record == data.record


def test_months_are_even_and_hours_with_a_gap_are_not(tmp_path: Path) -> None:
    months = frame(24).assign(date=pd.date_range("2020-01-01", periods=24, freq="MS"))
    found = read_series(csv(tmp_path, months))
    assert [str(time.date()) for time in found.after(2)] == ["2022-01-01", "2022-02-01"]
    assert str(read_series(csv(tmp_path, frame(24))).after(1)[0]) == "2024-01-02 00:00:00"
    gap = frame(24).drop(index=7)
    with pytest.raises(
        DataError, match=r"uneven in time: date steps by .*02:00:00 from .* \(row 8\), mostly by .*; res"
    ):
        read_series(csv(tmp_path, gap))
    with pytest.raises(DataError, match="uneven in time"):
        read_series(csv(tmp_path, frame(24).iloc[::-1]))


BAD: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"length": 190}, "the train part has 140 rows, but a window of look-back 190 and horizon 4 needs 194"),
    ({}, {"horizon": 30}, "the search part has 20 rows, but a window of .* needs 30"),
    ({}, {"splits": (100, 40, 61)}, "need 201 rows, but there are 200"),
    ({}, {"splits": (0.5, 0.5)}, "splits are rows or fractions of train, search and test, got"),
    ({}, {"horizon": 0}, "at least 1, got 10 and 0"),
    ({}, {"time": "when"}, "has no column 'when'; known: a, b, date"),
    ({}, {"channels": ["c"]}, "has no channel 'c'"),
    ({}, {"missing": "drop"}, "missing is refuse, linear, forward, got 'drop'"),
    ({"a": 1.0}, {}, "channel 'a' of .* is constant in its train part; leave it out"),
    ({"c": "x"}, {}, "channel 'c' of .* is not numeric: row 1 holds 'x'; leave it out"),
    ({"a": np.r_[np.nan, np.ones(199)]}, {"missing": "forward"}, "nothing before it to fill it; take missing='linear'"),
    ({"a": np.inf}, {}, "200 missing values"),
    ({"a": np.r_[np.ones(130), np.full(70, np.nan)]}, {"missing": "linear"}, "row 141, .* has nothing in its part to"),
    ({"date": "soon"}, {}, "column 'date' of .* holds no times"),
    ({"date": [f"{n}/{n % 3}" for n in range(200)]}, {}, "column 'date' of .* holds no times"),
    ({"date": pd.date_range("1000-01-01", periods=200, freq="YS", unit="s").astype(str)[::-1]}, {}, "uneven in time"),
    ({"a": 1e300 * np.arange(200.0)}, {}, "channel 'a' of .* has values up to 1.99e.302, too large"),
    ({"a": np.r_[np.arange(190.0), np.full(10, 1e300)]}, {}, "channel 'a' of .* has values up to 1e.300, too large"),
    ({}, {"horizon": "nan"}, "horizon of a series takes numbers below 1e.12, got 'nan'; give a number of steps"),
    ({}, {"horizon": "1e400"}, "horizon of a series takes numbers below 1e.12, got '1e400'"),
    ({}, {"horizon": "12.7"}, "horizon of a series is a whole number of steps, got '12.7'; round it"),
    ({}, {"length": [1, 2]}, "length of a series takes numbers .* got '1,2'"),
    ({}, {"splits": "nan,1,1"}, "splits of a series takes numbers .* got 'nan'"),
    ({}, {"splits": "0.7,0.2,0.2"}, r"splits are whole rows, or fractions that sum to 1 at most, got \[0.7"),
    ({}, {"splits": 5}, "splits are rows or fractions of train, search and test, got"),
    ({}, {"channels": 3}, "has no channel '3'; known: a, b"),
    ({}, {"channels": "a,a"}, "channel 'a' is named twice; keep one"),
    ({}, {"time": 3}, "has no column '3'; known: a, b, date"),
    ({"b ": 1.0}, {}, "has two columns 'b'; rename one"),
    ({"": 1.0}, {}, "column 4 of .* has no name; name it, or write the table without index"),
]  # fmt: skip


@pytest.mark.parametrize(("columns", "options", "said"), BAD)
def test_bad_input_is_one_line(columns: dict[str, Any], options: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = csv(tmp_path, frame(**columns))
    with pytest.raises(DataError, match=said) as caught:
        load_series(path, **{"length": 10, "horizon": 4, **options})
    assert "\n" not in str(caught.value)


def test_files_that_are_none_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("date,a\n")
    (tmp_path / "blank.csv").write_text("")
    (tmp_path / "wide.csv").write_text("date,a\n2024-01-01,1,\n2024-01-02,2,\n")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    csv(tmp_path, frame().rename(columns={"date": "moment"}), "timeless.csv")
    for name, said in {
        "none.csv": "cannot read the series .*none.csv': No such file",
        "series.xlsx": "a series is .csv or .parquet, got .series.xlsx",
        "empty.csv": "has no rows",
        "blank.csv": "cannot read the series .*blank.csv': No columns",
        "wide.csv": "has rows with more cells than its 2 columns; repair the header",
        "torn.parquet": "(is not a readable Parquet file|needs pyarrow)",
        "timeless.csv": "has no column named date, datetime, time, timestamp; name that of the times with time=",
    }.items():
        with pytest.raises(DataError, match=said):
            read_series(tmp_path / name)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(30, 80), length=st.integers(1, 12), horizon=st.integers(1, 5), search=st.integers(5, 10),
    test=st.integers(5, 10), channels=st.integers(1, 3),
)  # fmt: skip
def test_no_target_is_in_two_parts(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int,
    length: int,
    horizon: int,
    search: int,
    test: int,
    channels: int,
) -> None:
    steps = np.arange(rows, dtype=float)
    table = frame(rows)[["date"]].assign(**{f"c{k}": steps * (k + 1) for k in range(channels)})
    path = csv(tmp_path_factory.mktemp("series"), table)
    sizes = (rows - search - test, search, test)
    if sizes[0] < length + horizon:
        with pytest.raises(DataError, match="the train part has"):
            load_series(path, length=length, horizon=horizon, splits=sizes)
        return
    data = load_series(path, length=length, horizon=horizon, splits=sizes)
    seen = []
    for split in data.splits.values():
        targets = torch.stack([split[k][1] for k in range(0, len(split), channels)])
        back = targets * data.task.std[0] + data.task.mean[0]  # type: ignore[attr-defined]
        seen.append({round(float(step)) for step in back.flatten()})
    assert seen[0] == set(range(length, sizes[0]))
    assert seen[1] == set(range(sizes[0], sizes[0] + search))
    assert seen[2] == set(range(rows - test, rows))


@pytest.mark.skipif(not (REFERENCE / "ETTh1.csv").exists(), reason=f"no ETT series in {REFERENCE}")
def test_ett_has_the_windows_of_the_papers() -> None:
    data = load_series(REFERENCE / "ETTh1.csv", horizon=96, splits=(8640, 2880, 2880))
    assert data.record["splits"] == {"train": 8209 * 7, "search": 2785 * 7, "test": 2785 * 7}
    assert data.record["rows"] == {"train": [0, 8640], "search": [8640, 11520], "test": [11520, 14400]}
