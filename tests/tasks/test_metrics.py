"""Metrics and losses of tasks: those of scikit-learn, and numbers counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from nasformer.errors import DataError, RecipeError
from nasformer.tasks import Task, get_task, task_from_dict, task_of
from nasformer.training.assessment import assess

OUTPUTS = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
"""Few values, so that there are ties."""
NUMBER: dict[str, Any] = {"targets": ["a"], "mean": [1], "std": [2]}


def labels(count: int) -> Task:
    task: Task = get_task("multi-label")(tuple("abcdef"[:count]))
    return task


@settings(max_examples=40, deadline=None)
@given(data=st.data(), shape=st.tuples(st.integers(1, 12), st.integers(1, 5)))
def test_multi_label_metrics_are_those_of_scikit_learn(data: st.DataObject, shape: tuple[int, int]) -> None:
    truth = data.draw(arrays(np.int64, shape, elements=st.integers(0, 1)))
    outputs = data.draw(arrays(np.float32, shape, elements=OUTPUTS))
    found = assess(labels(shape[1]), torch.from_numpy(outputs), torch.from_numpy(truth).float())
    columns = [(truth[:, k], outputs[:, k]) for k in range(shape[1])]
    seen = [(wanted, told) for wanted, told in columns if wanted.any()]
    average = [100 * sk.average_precision_score(wanted, told) for wanted, told in seen]
    f1 = [100 * sk.f1_score(wanted, told > 0, zero_division=0) for wanted, told in seen]
    assert found["mean_average_precision"] == (pytest.approx(np.mean(average)) if seen else None)
    assert found["macro_f1"] == (pytest.approx(np.mean(f1)) if seen else None)
    micro = sk.f1_score(truth.ravel(), outputs.ravel() > 0, zero_division=0)
    assert found["micro_f1"] == pytest.approx(100 * micro)
    each = [sk.f1_score(wanted, told > 0, zero_division=1) for wanted, told in zip(truth, outputs, strict=True)]
    assert found["sample_f1"] == pytest.approx(100 * np.mean(each), rel=1e-5)
    assert [row["images"] for row in found["per_label"]] == truth.sum(axis=0).tolist()


@settings(max_examples=40, deadline=None)
@given(data=st.data(), count=st.integers(1, 30), number=st.integers(1, 8))
def test_classification_metrics_are_those_of_scikit_learn(data: st.DataObject, count: int, number: int) -> None:
    truth = data.draw(arrays(np.int64, count, elements=st.integers(0, number - 1)))
    rows = [data.draw(st.permutations(range(number))) for _ in range(count)]  # no ties
    outputs = np.array(rows, dtype=np.float32)
    task = get_task("classification")(tuple(map(str, range(number))))
    found, told = assess(task, torch.from_numpy(outputs), torch.from_numpy(truth)), outputs.argmax(axis=1)
    present = np.unique(truth)
    assert found["accuracy"] == pytest.approx(100 * (told == truth).mean())
    recalls = [(told[truth == each] == each).mean() for each in present]  # sklearn's, which warns of absent classes
    assert found["balanced_accuracy"] == pytest.approx(100 * np.mean(recalls))
    f1 = sk.f1_score(truth, told, labels=present, average="macro", zero_division=0)
    assert found["macro_f1"] == pytest.approx(100 * f1)
    if number > 1:
        assert found["confusion"] == sk.confusion_matrix(truth, told, labels=range(number)).tolist()
    if number > 5:
        top5 = sk.top_k_accuracy_score(truth, outputs, k=5, labels=range(number))
        assert found["top5"] == pytest.approx(100 * top5)
    else:
        assert "top5" not in found


@settings(max_examples=40, deadline=None)
@given(data=st.data(), shape=st.tuples(st.integers(2, 12), st.integers(1, 3)))
def test_regression_metrics_are_those_of_scikit_learn(data: st.DataObject, shape: tuple[int, int]) -> None:
    numbers = st.integers(-50, 50).map(float)
    truth, outputs = (data.draw(arrays(np.float32, shape, elements=numbers)) for _ in range(2))
    task = get_task("regression")(tuple("abc"[: shape[1]]), (7.0,) * shape[1], (2.0,) * shape[1])
    found, told = assess(task, torch.from_numpy(outputs), torch.from_numpy(truth)), outputs * 2.0 + 7.0
    mae = sk.mean_absolute_error(truth, told, multioutput="raw_values")
    assert found["mae"] == pytest.approx(mae.mean() / (1 if shape[1] == 1 else 2), rel=1e-5)  # standardised if several
    assert [row["mae"] for row in found["per_target"]] == pytest.approx(mae.tolist(), rel=1e-5)
    assert found["r2"] == pytest.approx(sk.r2_score(truth.astype(np.float64), told))
    assert found["loss"] == pytest.approx(sk.mean_squared_error(truth, told) / 4, rel=1e-5)


def test_smooth_l1_by_hand() -> None:
    task = get_task("regression")(("a",), (10.0,), (2.0,), "smooth_l1")
    targets = torch.tensor([[11.0], [16.0]])  # ½ and 3 standardised
    assert task.loss(torch.zeros(2, 1), targets).item() == pytest.approx((0.5 * 0.5**2 + 3 - 0.5) / 2)


def test_r2_needs_two_examples() -> None:
    task = get_task("regression").fit(np.arange(4.0), ("a",))
    assert assess(task, torch.zeros(1, 1), torch.ones(1, 1))["r2"] is None


def test_a_large_mean_costs_no_digits() -> None:
    truth = 2000.0 + np.arange(20.0)[:, None] % 5
    task = get_task("regression").fit(truth, ("year",))
    outputs = torch.from_numpy((truth - task.mean) / task.std).float()
    found = assess(task, outputs, torch.from_numpy(truth).float())
    assert found["r2"] == pytest.approx(1)
    assert found["mae"] == pytest.approx(0, abs=1e-4)


def test_forecast_errors_by_hand() -> None:
    outputs, targets = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 0.0], [0.0, 4.0]])
    found = assess(get_task("forecasting")(2), outputs, targets)
    assert (found["mse"], found["mae"], found["per_step"]) == (21 / 4, 7 / 4, [0.5, 10.0])


@pytest.mark.parametrize(
    ("task", "targets"),
    [
        (get_task("classification")(tuple("abc")), torch.tensor([0, 0, 1, 2, 0, 0])),
        (labels(3), torch.tensor([[0, 1, 0], [1, 1, 0], [0, 0, 1]] * 2).float()),
    ],
    ids=["classification", "multi-label"],
)
@pytest.mark.parametrize("weights", [(1.0, 0.0, 5.0), "balanced"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_weighted_loss_averages_over_shards(
    task: Task, targets: torch.Tensor, weights: Any, smoothing: float
) -> None:
    outputs, told = torch.randn(6, 3), task.weights(weights, targets)
    assert told is not None
    how: dict[str, Any] = {"weights": torch.tensor(told), "smoothing": smoothing}
    shards = [task.loss(outputs[i : i + 2], targets[i : i + 2], **how) for i in (0, 2, 4)]
    torch.testing.assert_close(torch.stack(shards).mean(), task.loss(outputs, targets, **how))
    assert not torch.isclose(task.loss(outputs, targets, **how), task.loss(outputs, targets))


def test_balanced_weights_by_hand() -> None:
    classes = get_task("classification")(("a", "b")).weights("balanced", torch.tensor([0, 0, 0, 1]))
    assert classes == pytest.approx([4 / 6, 2])  # sklearn's compute_class_weight
    assert labels(1).weights("balanced", torch.tensor([[1.0], [0], [0]])) == [2]


@pytest.mark.parametrize(("value", "words"), [(0.0, "no train image"), (1.0, "every train image")])
def test_a_label_on_no_image_or_on_all_has_no_balanced_weight(value: float, words: str) -> None:
    with pytest.raises(RecipeError, match=f"{words} has label 'a'"):
        labels(1).weights("balanced", torch.full((3, 1), value))


@pytest.mark.parametrize("name", ["regression", "forecasting"])
def test_classes_alone_are_weighted(name: str) -> None:
    task = task_from_dict({"name": name, **({"horizon": 1} if name == "forecasting" else NUMBER)})
    with pytest.raises(RecipeError, match=f"class_weights is for classes and labels, not for {name}"):
        task.weights("balanced", None)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (None, "a task is read from a mapping"),
        ({}, "unknown task 'None'"),
        ({"name": "regresion"}, "did you mean 'regression'"),
        ({"name": "json:loads"}, "'json:loads' is not a task: it lacks the base class"),
        ({"name": "regression"}, "cannot be read: .*missing 3"),
        ({"name": "regression", **NUMBER, "unit": "kg"}, "cannot be read: .*'unit'"),
        ({"name": "regression", **NUMBER, "std": [0]}, "target 'a' is the same in all train examples"),
        ({"name": "regression", **NUMBER, "mean": [1e9]}, "target 'a' is the same .*, up to rounding"),
        ({"name": "regression", **NUMBER, "std": [1, 2]}, r"std must be one finite number .*got \(1, 2\)"),
        ({"name": "regression", **NUMBER, "mean": ["x"]}, r"mean must be one finite number .*'x'"),
        ({"name": "regression", **NUMBER, "mean": [float("nan")]}, "mean must be one finite number .*nan"),
        ({"name": "regression", **NUMBER, "targets": []}, r"targets must be one or more different names, got \(\)"),
        ({"name": "regression", **NUMBER, "criterion": "l1"}, "criterion of regression is mse or smooth_l1, got 'l1'"),
        ({"name": "multi-label", "labels": ["a", "a"]}, "labels must be one or more different names"),
        ({"name": "multi-label", "labels": "ab"}, "labels must be one or more different names, got 'ab'"),
        ({"name": "classification", "classes": [1]}, r"classes must be names, got \(1,\)"),
        ({"name": "forecasting", "horizon": 0}, "horizon must be a whole number of 1 or more, got 0"),
        ({"name": "forecasting", "horizon": "2"}, "horizon must be a whole number of 1 or more, got '2'"),
        ({"name": "forecasting", "horizon": 1, "channels": ["a", "b"]}, "mean must be one finite number per channel"),
    ],
    ids=str,
)
def test_a_wrong_record_is_one_line(record: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        task_of({"task": record})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full(10, 0.1), "target 'a' is the same in all train examples"),  # its std is not 0 but 1e-17
        (np.array([1, np.nan]), r"the train target 1 is \[nan\]"),
    ],
)
def test_targets_that_cannot_be_standardised_are_refused(values: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        get_task("regression").fit(values, ("a",))


@pytest.mark.parametrize("name", ["regression", "forecasting", "multi-label"])
def test_targets_are_not_broadcast(name: str) -> None:
    """As ``(batch,)`` with outputs ``(batch, 1)`` would be, silently, to ``(batch, batch)``."""
    fields: dict[str, dict[str, Any]] = {
        "regression": NUMBER,
        "forecasting": {"horizon": 1},
        "multi-label": {"labels": ["a"]},
    }
    task = task_from_dict({"name": name, **fields[name]})
    for compute in (task.loss, task.scores):
        with pytest.raises(DataError, match=r"the targets of a batch are \(4,\), its outputs \(4, 1\)"):
            compute(torch.zeros(4, 1), torch.zeros(4))


def test_a_negative_class_is_refused() -> None:
    """torch leaves -100 out of a loss without a word."""
    with pytest.raises(DataError, match="the train labels must be 0 or more, got -100"):
        get_task("classification")(("a",)).check(torch.tensor([0, -100]), "train")


def test_a_target_beyond_single_precision_is_refused() -> None:
    with pytest.raises(DataError, match=r"the train target 0 is \[1e\+300\]"):
        task_from_dict({"name": "regression", **NUMBER}).check(torch.tensor([[1e300]], dtype=torch.float64), "train")


def test_whole_numbers_are_standardised_as_floats() -> None:
    task = task_from_dict({"name": "regression", "targets": ["a"], "mean": [0.5], "std": [0.5]})
    assert task.loss(torch.ones(2, 1), torch.tensor([[1], [1]])) == 0
