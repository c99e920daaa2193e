"""A network of a family from a checkpoint learns from the original model by default: as long as that is there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nasformer.data import Dataset
from nasformer.errors import RecipeError
from nasformer.supernet import Supernet, load_network
from nasformer.training import Recipe, finetune, train_supernet
from nasformer.training.teacher import original
from tests.training.test_original_teacher import model as model  # a fixture

QUICK = Recipe(epochs=1, batch_size=16, mixup=0, cutmix=0)
ALONE = {"device": "cpu", "progress": False}


@pytest.fixture
def family(model: torch.nn.Module, tmp_path: Path) -> Path:
    return Supernet.from_timm(model).save(tmp_path / "family.safetensors")


def test_an_imported_family_teaches_with_its_full_network(family: Path, data: Dataset, tmp_path: Path) -> None:
    net = Supernet.load(family)
    teacher = original(net)
    assert teacher is not None
    small = net.extract(net.space.smallest)
    first = finetune(small, data, QUICK, out=tmp_path / "out", **ALONE)
    assert (first.training.teacher, first.figures["taught_by"]) == (teacher.fingerprint, "the original model")
    again = finetune(load_network(tmp_path / "out" / "network.safetensors"), data, QUICK, **ALONE)
    assert again.training.teacher == teacher.fingerprint, "also of a network that was fine-tuned before"
    alone = finetune(small, data, QUICK.replace(distillation="off"), **ALONE)
    assert (alone.training.teacher, alone.figures["taught_by"]) == (None, None)
    other = finetune(small, data, QUICK, teacher=net.extract(net.space.largest), **ALONE)
    assert other.figures["taught_by"] is None


def test_a_trained_family_remembers_its_original(family: Path, data: Dataset, tmp_path: Path) -> None:
    net = Supernet.load(family)
    before = original(net)
    assert before is not None
    train_supernet(net, data, QUICK, out=tmp_path / "trained", **ALONE)
    trained = Supernet.load(tmp_path / "trained" / "supernet.safetensors")
    small = trained.extract(trained.space.smallest)
    kept = tmp_path / "trained" / "original.safetensors"
    result = finetune(small, data, QUICK, **ALONE)
    assert result.training.teacher == before.fingerprint
    assert result.figures["taught_by"] == f"the original model, {kept}"
    further = train_supernet(trained, data, QUICK, out=tmp_path / "further", **ALONE)
    assert further.teacher == before.fingerprint, "not the largest network of the family as trained"
    assert trained.metadata["started_from"]["file"] == str(kept.parent / "supernet.safetensors")
    kept.unlink()
    after = original(Supernet.load(kept.parent / "supernet.safetensors"))
    result = finetune(small, data, QUICK, **ALONE)
    assert after is not None
    assert result.training.teacher == after.fingerprint
    assert f"largest network of the family as trained, since the original, {kept}" in result.figures["taught_by"]


def test_a_lost_family_is_said_and_new_classes_have_no_teacher(
    family: Path, data: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    net = Supernet.load(family)
    small = net.extract(net.space.smallest)
    three = Dataset(train=data.train, search=data.search, test=data.test, name="five", num_classes=5)
    assert finetune(small, three, QUICK, **ALONE).training.teacher is None
    family.unlink()
    assert finetune(small, data, QUICK, **ALONE).training.teacher is None
    assert f"no default teacher: cannot read the checkpoint {family}" in caplog.text
    with pytest.raises(RecipeError, match="there is a teacher, but the recipe has distillation: off"):
        finetune(small, data, QUICK.replace(distillation="off"), teacher=small, **ALONE)
