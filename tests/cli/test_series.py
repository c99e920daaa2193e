"""``--data series:FILE``: from a CSV of times and channels to a forecast, and what does not fit in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import nasformer as nf
from tests.cli.conftest import Command
from tests.report.html import read

Refused = Callable[..., None]
DATA = "series:load.csv?horizon=6"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder has a series of two channels and a space for it."""
    monkeypatch.setenv("NASFORMER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    steps = np.arange(400)
    times = pd.date_range("2024-01-01", periods=400, freq="h")
    columns = {"wind": np.sin(steps / 4) + 5, "sun": 100 * np.cos(steps / 3)}
    pd.DataFrame({"date": times, **columns}).to_csv("load.csv", index=False)
    declared = {
        **{"name": "load", "embed_dim": {"choice": [8, 16]}, "depth": {"choice": [1, 2]}, "head_dim": 4},
        **{"num_heads": {"per_layer": [0, 1]}, "mlp_ratio": {"per_layer": [0, 1]}, "num_classes": 6},
        **{"series": {"length": 24, "patch": {"choice": [4, 8]}, "stride": 4, "instance_norm": True}},
        **{"pooling": "flatten", "max_distance": 2},
    }
    Path("load.yaml").write_text(yaml.safe_dump(declared))
    return tmp_path


def test_from_a_series_to_a_forecast(nasformer: Command, folder: Path) -> None:
    done = nasformer("train", "load.yaml", "--data", DATA, "--epochs", 2, "--device", "cpu", "-q", "--json")
    assert done.code == 0, done.err
    training = json.loads(done.out)
    assert training["data"]["name"] == f"series:{Path.cwd()}/load.csv?horizon=6&length=24"
    assert set(training["validation"]["largest"]) == {"mse", "mae"}
    done = nasformer("search", "load.yaml", "--params", "8k", "-n", 6, "--racing", "--out", "run", "-q")
    assert done.code == 0, done.err
    best = nf.SearchResult.load("run/result.jsonl").best
    assert f"MSE {-best.fitness:.4f}" in " ".join(done.out.split())
    shown = " ".join(nasformer("study", "best", "--storage", "run/study.log").out.split())
    assert f"confirmed MSE {-best.fitness:.4f}" in shown
    assert "windows 70 " in shown
    for command in ("trials", "pareto"):
        shown = nasformer("study", command, "--storage", "run/study.log").out
        assert "MSE" in shown
        assert f" {-best.fitness:.4f} " in shown
        assert "-" not in shown.replace("load-random", "")
    rows = json.loads(nasformer("evaluate", "run", "--split", "search", "--json").out)
    assert (rows["windows"], rows["results"][0]["mse"]) == (70, pytest.approx(-best.fitness))
    how = ("--epochs", 80, "--learning-rate", 1e-2, "--device", "cpu", "-q")
    done = nasformer("retrain", "run", "--data", DATA, "--out", "alone", *how)
    assert done.code == 0, done.err
    test = json.loads(Path("alone/retrain.json").read_text())["test"]
    assert test["mse"] < 0.1, "sines are easy"
    assert len(test["per_step"]) == 6
    page = read(Path("alone/report.html")).text
    assert "accuracy" not in page
    assert f"{test['windows']} test windows" in page
    done = nasformer("export", "alone", "--out", "model")
    assert done.code == 0, done.err
    found = json.loads(nasformer("predict", "model", "load.csv", "--json").out)
    assert found["time"][0] == "2024-01-17 16:00:00"
    expected = 100 * np.cos(np.arange(400, 406) / 3)
    assert np.corrcoef(found["forecast"]["sun"], expected)[0, 1] > 0.9
    for command in ("cost load.yaml largest", "spaces load.yaml", "latency load.yaml --repeats 2"):
        assert nasformer(*command.split()).code == 0


def test_what_does_not_fit_is_one_line(nasformer: Command, refused: Refused, folder: Path) -> None:
    train = ("train", "load.yaml", "--epochs", 1, "--device", "cpu", "-q", "--data")
    refused(
        "num_classes 12, but space 'load' declares 6; declare num_classes: 12 .the horizon.",
        *train,
        "series:load.csv?horizon=12",
    )
    refused(
        "has length 12, but space 'load' declares 24; declare series: .length: 12. or use other data",
        *train,
        f"{DATA}&length=12",
    )
    refused("a window of look-back 24 and horizon 90 needs 90", *train, "series:load.csv?horizon=90")
    refused("has no option 'horizont'; did you mean 'horizon'", *train, "series:load.csv?horizont=6")
    refused("horizon of a series takes numbers below 1e.12, got 'six'", *train, "series:load.csv?horizon=six")
    refused("cannot read the series 'none.csv': No such file", *train, "series:none.csv")
    refused("dataset 'digits' has images, but space 'load' declares series", *train, "digits")
    refused("has series, but space 'digits' declares images", "train", "digits", "--data", DATA, "-q")
    refused(
        "mixup 0.8, cutmix 1, label_smoothing 0.1, which forecasting does not support",
        *train,
        DATA,
        "--recipe",
        recipe(folder),
    )
    assert nasformer(*train, DATA, "--out", "net").code == 0
    refused("objective is 'mse' or 'mae' for forecasting", "search", "load.yaml", "--objective", "accuracy", "-q")
    load = pd.read_csv("load.csv")
    load.loc[7, "sun"] = np.nan
    load.to_csv("holes.csv", index=False)
    refused("1 missing values, the first in row 8, channel 'sun'", *train, "series:holes.csv?horizon=6")
    assert nasformer(*train, "series:holes.csv?horizon=6&missing=linear", "--out", "filled").code == 0


def recipe(folder: Path) -> Path:
    nf.Recipe.autoformer().replace(epochs=1, warmup_epochs=0, batch_size=32).save(folder / "recipe.yaml")
    return folder / "recipe.yaml"
