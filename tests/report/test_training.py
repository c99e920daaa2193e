"""The page of a training says what its figures say, whatever they leave out and whatever names they hold."""

from __future__ import annotations

import base64
import json
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nasformer.errors import NasformerError
from nasformer.report import write_training_report
from nasformer.space import SearchSpace, load_space
from nasformer.tasks import Task, get_task
from tests.report.html import Page, read
from tests.report.test_report import HOSTILE

FIGURES = {"architecture", "confusion", "training-loss", "training-accuracy", "training-learning-rate"}


def trained(classes: int = 10, each: int = 40) -> dict[str, Any]:
    """Return figures as ``finetune.json`` has them, of classes that are confused with their neighbours."""
    rng = np.random.default_rng(0)
    space = SearchSpace.from_dict({**load_space("digits").to_dict(), "num_classes": classes})
    confusion = np.zeros((classes, classes), dtype=int)
    for label in range(classes):
        taken = np.clip(label + np.rint(rng.normal(0, 0.6, each)), 0, classes - 1).astype(int)
        np.add.at(confusion[label], taken, 1)
    accuracy = 100 * confusion.trace() / confusion.sum()
    told = [
        {"class": f"class {label}", "images": each, "accuracy": 100 * float(confusion[label, label]) / each}
        for label in range(classes)
    ]
    history = [
        {
            "epoch": epoch,
            "train_loss": 2.0 / epoch,
            "learning_rate": 1e-3 / epoch,
            "seconds": 2.0,
            **({"validation": {"network": {"accuracy": 60.0 + epoch, "loss": 1.5 / epoch}}} if epoch % 2 else {}),
        }
        for epoch in range(1, 8)
    ]
    images = int(confusion.sum())
    return {
        "kind": "finetune",
        "freeze": "nothing",
        "start": "f00d",
        "source": {"weights": "home/digits.safetensors"},
        "architecture": space.centroid.to_dict(),
        "geometry": asdict(space.geometry),
        **space.costs(space.centroid),
        "teacher": None,
        "versions": {"nasformer": "0.1.0", "torch": "2.9"},
        "test": {
            "images": images,
            "accuracy": float(accuracy),
            "loss": 0.51234,
            "per_class": told,
            "confusion": confusion.tolist(),
        },
        "before": {"accuracy": 40.0, "loss": 1.9},
        "paired": {
            **{"metric": "accuracy", "test": "McNemar", "p": 1e-20},
            **{"both": 100, "only_before": 60, "only_after": 200, "neither": 40},
        },
        "speed": {
            "device": "a processor",
            "latency_ms": 0.72,
            "images_per_second": 13476.5,
            "batch_size": 64,
            "repeats": 20,
        },
        "training": {
            "seconds": 125.0,
            "steps": 96,
            "device": "cpu",
            "processes": 1,
            "recipe": {"epochs": 7, "learning_rate": 0.005},
            "data": {"name": "digits", "splits": {"train": 1078, "search": 360, "test": images}},
            "history": history,
        },
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("training") / "new" / "folder"
    write_training_report(path, trained(), title="Digits, fine-tuned", command="nasformer finetune digits")
    return path


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return read(folder / "report.html")


def test_the_page_states_the_result(page: Page) -> None:
    test = trained()["test"]
    facts = [f"on 400 test images is {test['accuracy']:.2f} %", "same images was 40.00 %", "0.5123"]
    facts += ["200 images are right only after, 60 only before (McNemar's exact test, p < 0.0001): the difference is"]
    facts += ["The network was fine-tuned on digits for seven epochs.", "home/digits.safetensors"]
    facts += ["60,106", "0.72 ms", "13,476", "a processor", "2 min 05 s", "nasformer finetune digits", "torch 2.9"]
    for fact in facts:
        assert fact in page.text


def test_the_interval_is_wilsons(tmp_path: Path) -> None:
    figures = trained()
    figures["test"] = {**figures["test"], "accuracy": 97.5, "images": 360}
    text = read(write_training_report(tmp_path, figures, title="t")).text
    assert "95 % interval 95.3 – 98.7 %" in text


def test_the_page_states_every_class(page: Page) -> None:
    test = trained()["test"]
    columns = np.sum(test["confusion"], axis=0)
    for place, row in enumerate(test["per_class"]):
        right = test["confusion"][place][place]
        assert f"{row['class']} 40 {row['accuracy']:.2f} %" in page.text
        assert f"{100 * right / columns[place]:.2f} % class" in page.text
    hardest = min(test["per_class"], key=lambda row: (row["accuracy"], row["class"]))
    assert f"Hardest classes: {hardest['class']} ({hardest['accuracy']:.1f} %)" in page.text


def test_the_page_holds_its_figures(page: Page) -> None:
    links = [address for _, _, address in page.links if address.startswith("data:application/json")]
    assert [json.loads(base64.b64decode(link.partition("base64,")[2])) for link in links] == [trained()]


def test_a_loss_that_is_no_number_is_left_out(tmp_path: Path) -> None:
    figures = trained()
    figures["training"]["history"][2]["train_loss"] = float("nan")
    write_training_report(tmp_path, figures, title="NaN")
    assert "training-loss" in read(tmp_path / "report.html").ids


def test_figures_are_files_that_open(folder: Path) -> None:
    files = {path.name for path in (folder / "figures").iterdir()}
    assert files == {f"{name}.{suffix}" for name in FIGURES for suffix in ("svg", "png")}
    for name in FIGURES:
        assert ElementTree.parse(folder / "figures" / f"{name}.svg").getroot().tag.endswith("svg")


def test_many_classes_stay_light_and_folded(tmp_path: Path) -> None:
    path = write_training_report(tmp_path, trained(classes=300), title="Many")
    page = read(path)
    assert path.stat().st_size < 1.5e6
    assert "All 300 classes" in page.text
    assert "One in 12 of 300 classes is labelled" in page.text


def of_task(task: Task, test: dict[str, Any], before: dict[str, float]) -> dict[str, Any]:
    """Return figures of another task than classification."""
    figures = {**trained(), "test": test, "before": before}
    del figures["paired"]
    figures["training"] = {**figures["training"], "data": {"name": "other", **task.record()}, "history": []}
    return figures


def test_a_regression_has_errors_with_intervals_and_every_target(tmp_path: Path) -> None:
    test = {"images": 400, "loss": 0.5, "mae": 2.5, "standard_error": {"loss": 0.02, "mae": 0.1}, "r2": 0.8}
    rows = [{"target": "age", "mae": 4.0, "r2": 0.7}, {"target": "height", "mae": 1.0, "r2": None}]
    task = get_task("regression")(("age", "height"), (0.0, 0.0), (1.0, 1.0))
    page = read(write_training_report(tmp_path, of_task(task, {**test, "per_target": rows}, {"mae": 3.0}), title="r"))
    assert "Its MAE on 400 test images is 2.5000 (95 % interval 2.304 – 2.696)." in page.text
    assert "Before, its MAE on the same images was 3.0000: a change of −0.5." in page.text
    assert "the difference is" not in page.text, "files of earlier versions have no paired test"
    assert "fine-tuned 2.5000 2.304 – 2.696 0.8000 0.5000 0.461 – 0.539" in page.text
    assert "age 4.0000 0.7000 height 1.0000 –" in page.text
    assert "accuracy" not in page.text


def test_labels_have_percent_and_few_images_are_told(tmp_path: Path) -> None:
    test = {"images": 50, "loss": 0.5, "sample_f1": 60.0, "mean_average_precision": 70.0, "micro_f1": 55.0}
    rows = [{"label": "red", "images": 30, "average_precision": 72.5, "f1": 66.0}]
    rows += [{"label": "old", "images": 4, "average_precision": None, "f1": 0.0}]
    task = get_task("multi-label")(("red", "old"))
    text = read(write_training_report(tmp_path, of_task(task, {**test, "per_label": rows}, {}), title="m")).text
    assert "test mAP 70.00 %" in text
    assert "red 30 72.50 % 66.00 % old 4 – 0.00 %" in text
    assert "1 of 2 labels have fewer than 10 test images" in text


def test_a_forecast_has_the_error_of_every_step(tmp_path: Path) -> None:
    test = {"windows": 100, "mse": 0.3, "mae": 0.4, "standard_error": {"mse": 0.01}, "per_step": [0.2, 0.3, 0.4]}
    page = read(write_training_report(tmp_path, of_task(get_task("forecasting")(3), test, {}), title="f"))
    assert "Its MSE on 100 test windows is 0.3000 (95 % interval 0.280 – 0.320)." in page.text
    assert "MACs per window" in page.text
    assert "profile" in page.ids


def test_hostile_strings_are_escaped(tmp_path: Path) -> None:
    figures = trained()
    figures["test"]["per_class"][0]["class"] = HOSTILE
    figures["source"] = {"weights": HOSTILE}
    figures["speed"]["device"] = figures["training"]["data"]["name"] = HOSTILE
    figures["training"]["recipe"][HOSTILE] = HOSTILE
    path = write_training_report(tmp_path, figures, title=HOSTILE, command=HOSTILE)
    html = path.read_text(encoding="utf-8")
    assert html.count("<script") == read(path).tags.count("script") == 1
    assert "\x00" not in html
    for figure in (tmp_path / "figures").glob("*.svg"):
        ElementTree.fromstring(figure.read_text(encoding="utf-8"))


def test_a_network_without_inherited_weights_is_not_compared(tmp_path: Path) -> None:
    figures = {key: value for key, value in trained().items() if key not in ("before", "paired")}
    figures = {**figures, "kind": "retrain", "training": {**figures["training"], "history": []}}
    text = read(write_training_report(tmp_path, figures, title="Bare")).text
    assert "on the same images" not in text
    assert "trained from scratch on digits for no epochs" in text
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {"architecture", "confusion"}


def test_classes_with_few_test_images_or_none_are_told(tmp_path: Path) -> None:
    figures = trained(each=4)
    figures["test"]["per_class"][3] = {"class": "none", "images": 0, "accuracy": None}
    figures["test"]["confusion"][3] = [0] * 10
    text = read(write_training_report(tmp_path, figures, title="Few")).text
    assert "9 of 10 classes have fewer than 10 test images" in text
    assert "1 of 10 classes have no test image" in text
    assert "none 0 – –" in text


def test_the_most_confidently_wrong_images_are_shown(tmp_path: Path) -> None:
    figures = trained()
    figures["mistakes"] = [{"image": 123, "class": "class 3", "predicted": "class 8", "probability": 98.76}]
    assert "mistakes" not in read(write_training_report(tmp_path, figures, title="No sheet")).ids
    content = b"\x89PNG of images"
    (tmp_path / "mistakes.png").write_bytes(content)
    page = read(write_training_report(tmp_path, figures, title="Sheet"))
    assert "1 class 3 class 8 98.8 % 123" in page.text
    (sheet,) = [value for tag, _, value in page.links if tag == "img"]
    assert base64.b64decode(sheet.partition("base64,")[2]) == content


def test_a_network_without_mistakes_has_a_page(tmp_path: Path) -> None:
    figures = trained()
    figures["test"]["confusion"] = np.diag([40] * 10).tolist()
    assert "No test image was misclassified." in read(write_training_report(tmp_path, figures, title="Perfect")).text


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NasformerError, match=r"cannot write the report to .*file"):
        write_training_report(tmp_path / "file", trained(), title="Blocked")
