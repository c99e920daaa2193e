"""Exports of each task and of series: outputs, metrics, cards and predictions, on small random networks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from nasformer.architecture import Architecture
from nasformer.cli import run
from nasformer.cost import Geometry
from nasformer.data import Dataset, ImagesInMemory
from nasformer.errors import DataError, ExportError
from nasformer.export.description import Description
from nasformer.export.exporter import Exported, export
from nasformer.export.forecast import forecast
from nasformer.export.formats import require_format
from nasformer.export.opened import open_model
from nasformer.supernet import VisionTransformer
from nasformer.tasks import Task, get_task
from nasformer.training.assessment import assess

TASKS: dict[str, Task] = {
    "multi-label": get_task("multi-label")(("cat", "dog", "sofa")),
    "regression": get_task("regression")(("age", "height"), (40.0, 170.0), (20.0, 10.0)),
    "forecasting": get_task("forecasting")(5, ("load", "heat"), (10.0, -3.0), (2.0, 0.5)),
}
CASES = [
    ("multi-label", "timm", "fp32"),
    ("multi-label", "onnx", "fp32"),
    ("regression", "safetensors", "bf16"),
    ("regression", "onnx", "fp32"),
    ("forecasting", "safetensors", "fp32"),
    ("forecasting", "torch-export", "fp32"),
    ("forecasting", "onnx", "fp32"),
    ("forecasting", "onnx", "int8"),
]
INPUTS = {"multi-label": (1, 4, 4), "regression": (1, 4, 4), "forecasting": (1, 24)}
FIXED: dict[str, Any] = {"head_dim": 4, "max_distance": 2}
SERIES = {"series": {"length": 24, "patch": 8, "stride": 4, "instance_norm": True}, "flatten": True}
IMAGES = {"image_size": 4, "patch_size": 2, "in_channels": 1}
MAIN = {"multi-label": "mean_average_precision", "regression": "mae", "forecasting": "mse"}
Written = Callable[[str, str, str], Exported]


def network(name: str) -> VisionTransformer:
    sizes = {**FIXED, **(SERIES if name == "forecasting" else IMAGES), "num_classes": len(TASKS[name].outputs)}
    net = VisionTransformer(Geometry.from_dict(sizes), Architecture(8, (2, 1), (2, 1))).eval()
    generator = torch.Generator().manual_seed(1)
    for parameter in net.parameters():
        parameter.data.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)
    return net


def dataset(name: str) -> Dataset:
    task, generator = TASKS[name], torch.Generator().manual_seed(2)
    inputs = torch.randn(36, *INPUTS[name], generator=generator)
    targets = torch.randn(36, len(task.outputs), generator=generator)
    targets = {"multi-label": (targets > 0).float(), "regression": 50 + 9 * targets, "forecasting": targets}[name]
    parts = zip(torch.tensor_split(inputs, 3), torch.tensor_split(targets, 3), strict=True)
    train, search, test = (ImagesInMemory(*part) for part in parts)
    return Dataset(train=train, search=search, test=test, name="made", task=task)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Export the network of a task in a format and dtype, once."""
    place, made = tmp_path_factory.mktemp("tasks"), dict[tuple[str, str, str], Exported]()

    def make(name: str, format: str, dtype: str) -> Exported:
        if format == "onnx":
            for module in ("onnx", "onnxscript", "onnxruntime"):
                pytest.importorskip(module, reason=f"{module} comes with nasformer[onnx]")
        if (name, format, dtype) not in made:
            folder = place / f"{name}-{format}-{dtype}"
            options: dict[str, Any] = {"format": format, "dtype": dtype, "repeats": 2}
            made[name, format, dtype] = export(network(name), dataset(name), folder, **options)
        return made[name, format, dtype]

    return make


def examples(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    test: Any = dataset(name).test
    return test.images, test.labels


def outputs(name: str, inputs: Any) -> Any:
    with torch.no_grad():
        return network(name)(torch.as_tensor(inputs)).numpy()


@pytest.mark.parametrize(("name", "format", "dtype"), CASES)
def test_a_file_gives_the_networks_outputs_for_any_batch(name: str, format: str, dtype: str, written: Written) -> None:
    model = open_model(written(name, format, dtype).folder, format=format)
    inputs = examples(name)[0].numpy()
    for count in (1, 2, 7):
        apart = np.abs(model.run(inputs[:count]) - outputs(name, inputs[:count])).max()
        assert apart < {"fp32": 1e-5, "bf16": 0.1, "int8": 0.3}[dtype]
    assert model.description.task == TASKS[name]
    assert model.description.input_shape == INPUTS[name]
    assert model.predictions(inputs, 2) == TASKS[name].predictions(model.run(inputs), 2)


@pytest.mark.parametrize(("name", "format", "dtype"), CASES)
def test_every_metric_of_the_task_is_measured(name: str, format: str, dtype: str, written: Written) -> None:
    record, task = written(name, format, dtype).record, TASKS[name]
    inputs, targets = examples(name)
    expected = assess(task, torch.from_numpy(outputs(name, inputs)), targets)
    plain = record["test"] if dtype == "fp32" else record["against_fp32"]["test"]
    assert plain == pytest.approx({key: expected[key] for key in plain}, rel=1e-4)
    assert set(record["test"]) == {f"{task.example}s", *(metric.name for metric in task.metrics)}
    if dtype != "fp32":
        ratio = record["test"][MAIN[name]] / plain[MAIN[name]]
        assert record["against_fp32"][f"{MAIN[name]}_ratio"] == pytest.approx(ratio)
    agreement = record["verification"]["same_class"]
    assert (agreement is None) == (name != "multi-label")
    assert (record["preprocessing"] is None) == (name == "forecasting")
    assert "classes" not in record


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("multi-label", ("pipeline_tag: image-classification", "for 3 labels", "The sigmoid of each", "mAP ")),
        ("regression", ("tags: [image-regression", "for 2 numbers per image", "| height | 170 | 10 |", "MAE ")),
        (
            "forecasting",
            ("pipeline_tag: time-series-forecasting", "for 5 steps ahead", "`(batch, 1, 24)`", "| heat | -3 | 0.5 |"),
        ),
    ],
)
def test_a_card_explains_the_outputs(name: str, lines: tuple[str, ...], written: Written) -> None:
    card = (written(name, "onnx", "fp32").folder / "README.md").read_text()
    assert card.startswith("---\n")
    assert not [line for line in lines if line not in card]
    assert f"on 12 test {TASKS[name].example}s of made" in card
    assert "predicted class" not in card
    assert ("pipeline_tag" in card) == (name != "regression"), "the hub has no pipeline for it"
    assert ("image" in card) == (name != "forecasting")


@pytest.mark.parametrize(
    ("name", "given", "returned"),
    [("multi-label", "images", "logits"), ("regression", "images", "values"), ("forecasting", "series", "forecast")],
)
def test_onnx_names_inputs_and_outputs(name: str, given: str, returned: str, written: Written) -> None:
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(written(name, "onnx", "fp32").folder / "model.onnx")
    assert [(put.name, put.shape) for put in session.get_inputs()] == [(given, ["batch", *INPUTS[name]])]
    assert [(put.name, put.shape) for put in session.get_outputs()] == [(returned, ["batch", len(TASKS[name].outputs)])]


@pytest.fixture
def inputs_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], tuple[str, Any]]:
    """Write the file that ``predict`` reads for a task, and return it with the network's input."""
    monkeypatch.chdir(tmp_path)

    def write(name: str) -> tuple[str, Any]:
        generator = np.random.default_rng(0)
        if name == "forecasting":
            values = generator.normal((10, -3), (2, 0.5), (40, 2))
            times = pd.date_range("2024-01-01", periods=40, freq="h")
            table = pd.DataFrame({"date": times, "other": 1.0, "heat": values[:, 1], "load": values[:, 0]})
            table.to_csv("series.csv", index=False)
            return "series.csv", ((values[-24:] - (10, -3)) / (2, 0.5)).astype(np.float32).T[:, None]
        pixels = generator.integers(0, 255, (4, 4), dtype=np.uint8)
        Image.fromarray(pixels).save("image.png")
        return "image.png", (pixels / 255).astype(np.float32)[None, None]

    return write


InputsOf = Callable[[str], tuple[str, Any]]


def predicted(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    capsys.readouterr()
    assert run(["predict", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_labels_have_their_probability(
    written: Written, inputs_of: InputsOf, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, (file, inputs) = written("multi-label", "onnx", "fp32").folder, inputs_of("multi-label")
    chances = 1 / (1 + np.exp(-outputs("multi-label", inputs)[0]))
    (found,) = predicted(capsys, folder, file)
    assert [each["label"] for each in found["labels"]] == [
        ("cat", "dog", "sofa")[place] for place in np.argsort(-chances)
    ]
    for each, chance in zip(found["labels"], sorted(chances, reverse=True), strict=True):
        assert each["probability"] == pytest.approx(chance, abs=1e-5)
        assert each["present"] == (chance >= 0.5)
    assert run(["predict", str(folder), file]) == 0
    assert capsys.readouterr().out.count("present") == (chances >= 0.5).sum() > 0


def test_values_are_in_their_units(written: Written, inputs_of: InputsOf, capsys: pytest.CaptureFixture[str]) -> None:
    folder, (file, inputs) = written("regression", "onnx", "fp32").folder, inputs_of("regression")
    age, height = outputs("regression", inputs)[0] * (20, 10) + (40, 170)
    assert predicted(capsys, folder, file) == [
        {"image": file, "values": pytest.approx({"age": age, "height": height}, rel=1e-5)}
    ]
    assert run(["predict", str(folder), file]) == 0
    assert f"height {height:.2f}" in " ".join(capsys.readouterr().out.split())


def test_a_forecast_continues_its_series(
    written: Written, inputs_of: InputsOf, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, (file, inputs) = written("forecasting", "onnx", "fp32").folder, inputs_of("forecasting")
    expected = outputs("forecasting", inputs).T * (2, 0.5) + (10, -3)
    early = pd.read_csv(file)
    early.loc[5, "load"] = None  # before the look-back
    early.to_csv(file, index=False)
    found = predicted(capsys, folder, file, "--out", "next.csv")
    assert found["time"] == [f"2024-01-02 {hour}:00:00" for hour in range(16, 21)]
    assert found["forecast"]["load"] == pytest.approx(expected[:, 0], rel=1e-4)
    assert found["forecast"]["heat"] == pytest.approx(expected[:, 1], rel=1e-4)
    kept = pd.read_csv("next.csv")
    assert list(kept) == ["time", "load", "heat"]
    assert kept["load"].tolist() == found["forecast"]["load"]
    assert run(["predict", str(folder), file]) == 0
    assert f"2024-01-02 20:00:00 {expected[-1, 0]:.2f} " in " ".join(capsys.readouterr().out.split())


def test_a_forecast_of_months_continues_the_calendar(written: Written, tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01", periods=24, freq="MS")
    table = pd.DataFrame({"when": times, "load": range(24), "heat": range(24)})
    table.to_csv(tmp_path / "months.csv", index=False)
    found = forecast(open_model(written("forecasting", "onnx", "fp32").folder), tmp_path / "months.csv", time="when")
    assert [str(each)[:10] for each in found.index[:3]] == ["2022-01-01", "2022-02-01", "2022-03-01"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="heat"), "has no channel 'heat'"),
        (lambda table: table.tail(23), "has 23 rows, but the network reads the last 24"),
        (lambda table: table.drop(index=30), "is uneven in time"),
        (
            lambda table: table.replace({"load": {table["load"][38]: None}}),
            "no value in row 39, channel 'load'; fill it",
        ),
        (lambda table: table.drop(columns="date"), "has no column named date"),
    ],
)
def test_a_series_that_does_not_fit_is_refused_in_one_line(
    change: Callable[[Any], Any],
    message: str,
    written: Written,
    inputs_of: InputsOf,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, (file, _) = written("forecasting", "onnx", "fp32").folder, inputs_of("forecasting")
    change(pd.read_csv(file)).to_csv("changed.csv", index=False)
    assert run(["predict", str(folder), "changed.csv", "--out", "next.csv"]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not Path("next.csv").exists()


def test_options_and_files_of_other_tasks_are_refused(
    written: Written, inputs_of: InputsOf, capsys: pytest.CaptureFixture[str]
) -> None:
    images, series = (written(name, "onnx", "fp32").folder for name in ("regression", "forecasting"))
    file, _ = inputs_of("regression")
    for message, arguments in (
        ("--time is for forecasts", (images, file, "--time", "when")),
        ("a forecast is of one series, got 2 files", (series, "a.csv", "b.csv")),
        ("a series is .csv or .parquet, got 'image.png'", (series, file)),
    ):
        assert run(["predict", *map(str, arguments)]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(ExportError, match=r"does not forecast: its task is regression"):
        forecast(open_model(images), "series.csv")


@pytest.mark.parametrize("name", TASKS)
def test_onnx_predicts_without_torch(name: str, written: Written, inputs_of: InputsOf) -> None:
    folder, (file, _) = written(name, "onnx", "fp32").folder, inputs_of(name)
    code = (
        f"import sys; from nasformer.cli import run; code = run(['predict', {str(folder)!r}, {file!r}]); "
        "sys.exit(code or any(name in sys.modules for name in ('torch', 'timm', 'onnx')))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_benchmark_counts_windows(written: Written, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(written("forecasting", "onnx", "fp32").folder)
    assert run(["benchmark", folder, "-b", "3", "--repeats", "2"]) == 0
    assert "windows/s" in capsys.readouterr().out
    assert run(["benchmark", folder, "-b", "3", "--repeats", "2", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["batches"]
    assert row["windows_per_second"] == pytest.approx(3e3 / row["median_ms"])


def test_timm_takes_no_series_and_no_flattened_patches(written: Written, tmp_path: Path) -> None:
    assert not (written("forecasting", "safetensors", "fp32").folder / "config.json").exists()
    flat = VisionTransformer(Geometry.from_dict({**IMAGES, **FIXED}), Architecture(8, (1,), (1,)), pooling="flatten")
    for net in (network("forecasting"), flat):
        with pytest.raises(ExportError, match=r"timm has no networks of series or with pooling 'flatten'"):
            require_format("timm", "fp32", net)


def test_series_and_images_are_not_confused(tmp_path: Path) -> None:
    sizes = {"image_size": 24, "patch_size": 8, "in_channels": 1, "num_classes": 5, **FIXED}
    images = VisionTransformer(Geometry.from_dict(sizes), Architecture(8, (1,), (1,)))
    with pytest.raises(DataError, match=r"reads \(1, 24, 24\), but 'made' has \(1, 24\)"):
        export(images, dataset("forecasting"), tmp_path / "out")


def test_a_description_of_0_1_is_of_a_classification() -> None:
    steps = {"channels": 1, "size": 8, "resize": 8, "mean": [0.5], "std": [0.25], "interpolation": "bicubic"}
    network = {"geometry": {"image_size": 8, "patch_size": 2, "in_channels": 1, "num_classes": 2, **FIXED}}
    text = {
        **{"format_version": 1, "name": "old", "format": "onnx", "dtype": "fp32", "preprocessing": steps},
        **{"classes": ["cat", "dog"], "network": network, "provenance": {}},
    }
    known = Description.from_json(json.dumps(text), "here")
    assert known.task == get_task("classification")(("cat", "dog"))
    assert (known.input_name, known.input_shape) == ("images", (1, 8, 8))
    assert json.loads(known.to_json()) == text, "the same file is written as before"
