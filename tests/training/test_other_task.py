"""Weights of one task are never taken for those of another with as many outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nasformer.architecture import uniform
from nasformer.cost import Geometry
from nasformer.data import Dataset
from nasformer.errors import DataError, RecipeError
from nasformer.supernet import VisionTransformer
from nasformer.tasks import Task, get_task
from nasformer.training import Recipe, evaluate, finetune, load_teacher, train_subnet

SPLITS = ("train", "search", "test")


def dataset(task: Task, targets: torch.Tensor) -> Dataset:
    images = torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    parts: dict[str, Any] = {key: torch.utils.data.TensorDataset(images, targets) for key in SPLITS}
    return Dataset(**parts, name=task.name, task=task)


AGES = torch.arange(24.0).view(12, 2)
LABELS = torch.tensor([[0.0, 1.0], [1.0, 0.0]] * 6)


@pytest.fixture
def ages() -> Dataset:
    return dataset(get_task("regression").fit(AGES.numpy(), ("age", "weight")), AGES)


@pytest.fixture
def labels() -> Dataset:
    return dataset(get_task("multi-label")(("cat", "dog")), LABELS)


@pytest.fixture
def net() -> VisionTransformer:
    geometry = Geometry(image_size=8, patch_size=4, in_channels=1, num_classes=2, head_dim=4, max_distance=None)
    return VisionTransformer(geometry, uniform(8, 1, 1, 1))


def recipe(data: Dataset) -> Recipe:
    return Recipe.for_dataset(data.name, data.task).replace(epochs=1, warmup_epochs=0, batch_size=4)


def test_weights_are_evaluated_by_the_task_that_they_learnt(ages: Dataset, labels: Dataset) -> None:
    assert labels.learnt_by({}, "w") is labels
    assert labels.learnt_by(labels.record, "w").task == labels.task
    said = (
        r"w and 'multi-label' do not fit: the weights learnt regression of 2 outputs \(age, weight\), but the data are"
    )
    with pytest.raises(DataError, match=said):
        labels.learnt_by(ages.record, "w")
    swapped = dataset(get_task("regression").fit(AGES.numpy(), ("weight", "age")), AGES)
    with pytest.raises(DataError, match=r"\(age, weight\), but the data are regression of 2 outputs \(weight, age\)"):
        swapped.learnt_by(ages.record, "w")
    later = dataset(get_task("regression").fit(2 * AGES.numpy() + 1, ("age", "weight")), 2 * AGES + 1)
    found = later.learnt_by(ages.record, "w")
    assert (found.task, found.record["task"]) == (ages.task, ages.record["task"])
    assert later.task != ages.task
    assert later.record["task"] == later.task.to_dict()


def test_another_task_gets_a_new_head_and_no_figures_of_before(
    net: VisionTransformer, ages: Dataset, labels: Dataset
) -> None:
    options: dict[str, Any] = {"device": "cpu", "progress": False}
    same = finetune(net, ages, recipe(ages), trained_on=ages.record, **options)
    assert same.figures["before"] == pytest.approx(evaluate(net, ages.test, task=ages.task))
    assert same.figures["paired"]["metric"] == "mae"
    later = dataset(get_task("regression").fit(2 * AGES.numpy(), ("age", "weight")), 2 * AGES)
    assert "paired" not in finetune(net, later, recipe(later), trained_on=ages.record, **options).figures, (
        "errors in other deviations are no pairs"
    )
    other = finetune(net, labels, recipe(labels), trained_on=ages.record, **options)
    assert "before" not in other.figures
    assert {"mean_average_precision", "micro_f1", "loss"} <= set(other.figures["test"])
    still = recipe(labels).replace(learning_rate=1e-5, weight_decay=0.0)
    renewed = finetune(net, labels, still, trained_on=ages.record, **options).net
    kept = finetune(net, labels, still, trained_on=labels.record, **options).net
    assert torch.allclose(kept.head.weight, net.head.weight, atol=1e-3)
    assert not torch.allclose(renewed.head.weight, net.head.weight, atol=1e-2)


def test_a_teacher_of_another_task_is_refused(
    net: VisionTransformer, ages: Dataset, labels: Dataset, tmp_path: Path
) -> None:
    train_subnet(net, labels, recipe(labels), out=tmp_path / "labels", device="cpu", progress=False)
    teacher = load_teacher(str(tmp_path / "labels" / "network.safetensors"))
    assert teacher.task == labels.task
    train_subnet(net, labels, recipe(labels), teacher=teacher, device="cpu", progress=False)
    with pytest.raises(RecipeError, match=r"the teacher does not fit 'regression': the weights learnt multi-label"):
        train_subnet(net, ages, recipe(ages), teacher=teacher, device="cpu", progress=False)
    train_subnet(net, ages, recipe(ages), out=tmp_path / "ages", device="cpu", progress=False)
    teacher = load_teacher(str(tmp_path / "ages" / "network.safetensors"))
    later = dataset(get_task("regression").fit(2 * AGES.numpy(), ("age", "weight")), 2 * AGES)
    with pytest.raises(RecipeError, match="the teacher standardises the targets of 'regression' otherwise"):
        train_subnet(net, later, recipe(later), teacher=teacher, device="cpu", progress=False)


def test_series_and_images_are_told_apart_before_training(net: VisionTransformer, labels: Dataset) -> None:
    series = torch.rand(12, 1, 8)
    parts: dict[str, Any] = {key: torch.utils.data.TensorDataset(series, LABELS) for key in SPLITS}
    data = Dataset(**parts, name="waves", task=labels.task)
    with pytest.raises(DataError, match="'waves' has series, but the network takes images"):
        finetune(net, data, recipe(data), device="cpu", progress=False)
