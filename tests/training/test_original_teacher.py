"""A family from a checkpoint learns from the original model, also after a resume, unless told otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from nasformer.data import Dataset
from nasformer.errors import CheckpointError, RecipeError
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet, load_network
from nasformer.supernet.checkpoint import fingerprint
from nasformer.training import Recipe, default_recipe, family_recipe, train_supernet
from nasformer.training.teacher import Teacher, original
from tests.training.conftest import Stop
from tests.training.test_training import same, train

IMAGES = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model() -> torch.nn.Module:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"img_size": 4, "patch_size": 2, "embed_dim": 16, "depth": 2, "num_heads": 2}
    return timm.create_model("vit_tiny_patch16_224", in_chans=1, num_classes=4, **sizes).eval()


@pytest.fixture
def soft(recipe: Recipe) -> Recipe:
    return recipe.replace(sampling="sandwich", sandwich_random=1, distillation="soft")


def test_the_original_is_a_copy_with_the_logits_of_the_model(model: torch.nn.Module) -> None:
    net = Supernet.from_timm(model)
    teacher = original(net)
    assert teacher is not None
    expected, before = model(IMAGES), teacher.fingerprint
    torch.testing.assert_close(teacher.logits(IMAGES, amp=False), expected, atol=1e-5, rtol=0)
    with torch.no_grad():
        net.head.weight.zero_()
    assert fingerprint(teacher.net) == before


def test_other_supernets_and_new_heads_have_no_original(model: torch.nn.Module, space: SearchSpace) -> None:
    net = Supernet.from_timm(model)
    net.metadata["imported"]["head"] = "new"
    assert original(net) is None
    assert original(Supernet(space)) is None


def test_it_teaches_by_default_and_is_kept(model: torch.nn.Module, data: Dataset, soft: Recipe, tmp_path: Path) -> None:
    default, given, alone = (Supernet.from_timm(model) for _ in range(3))
    teacher = original(given)
    assert teacher is not None
    result = train(default, data, soft, out=tmp_path)
    assert result.teacher == teacher.fingerprint == fingerprint(load_network(tmp_path / "original.safetensors"))
    train(given, data, soft, teacher=teacher)
    assert same(default, given)
    assert train(alone, data, soft.replace(distillation="off")).teacher is None
    assert not same(default, alone)


def test_a_resumed_training_learns_from_the_model_it_began_with(
    model: torch.nn.Module, data: Dataset, soft: Recipe, tmp_path: Path
) -> None:
    whole, resumed = Supernet.from_timm(model), Supernet.from_timm(model)
    train(whole, data, soft)
    with pytest.raises(KeyboardInterrupt):
        train(Supernet.from_timm(model), data, soft, out=tmp_path, callback=Stop(2))
    with torch.no_grad():
        resumed.head.weight.zero_()  # weights of a training come from its folder
    train(resumed, data, soft, out=tmp_path, resume=True)
    assert same(resumed, whole)
    with pytest.raises(CheckpointError, match="belongs to another training: teacher"):
        train(resumed, data, soft, out=tmp_path, resume=True, teacher=resumed)


def test_a_teacher_needs_distillation(space: SearchSpace, data: Dataset, recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="there is a teacher, but the recipe has distillation: off"):
        train_supernet(Supernet(space), data, recipe.replace(distillation="off"), teacher=Teacher.of(Supernet(space)))


def test_a_family_has_a_short_recipe_of_its_own(model: torch.nn.Module, data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(Supernet.from_timm(model), data, None, out=tmp_path, callback=Stop(1))
    identity = torch.load(tmp_path / "training.pt", weights_only=True)["identity"]
    recipe, default = family_recipe(data, "cpu"), default_recipe(data, "cpu")
    assert identity["recipe"].items() <= recipe.to_dict().items()
    assert "teacher" in identity
    assert (recipe.sampling, recipe.inplace_distillation) == ("sandwich", "next_larger")
    assert (recipe.epochs, recipe.warmup_epochs) == (default.epochs // 10, 0)
    assert recipe.learning_rate == pytest.approx(default.learning_rate / 10)
    assert family_recipe(data, "cpu", {"epochs": 2, "mixup": 0.1}).mixup == 0.1
    with pytest.raises(RecipeError, match=r"epochs: .*got 0"):
        family_recipe(data, "cpu", {"epochs": 0})
