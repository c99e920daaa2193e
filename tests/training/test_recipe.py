"""Recipes: the paper's defaults, YAML both ways, and one line for whatever is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from nasformer.data import dataset_names
from nasformer.errors import RecipeError
from nasformer.training import Recipe


def test_the_defaults_are_the_papers() -> None:
    paper = Recipe.autoformer()
    assert (paper.epochs, paper.batch_size, paper.warmup_epochs) == (500, 1024, 20)
    assert paper.learning_rate == pytest.approx(5e-4 * 1024 / 512)
    assert (paper.min_learning_rate, paper.weight_decay, paper.label_smoothing) == (1e-5, 0.05, 0.1)
    assert (paper.mixup, paper.cutmix, paper.random_erasing, paper.drop_path) == (0.8, 1.0, 0.25, 0.1)
    assert (paper.auto_augment, paper.unused_slices) == ("rand-m9-mstd0.5-inc1", "decay")


def test_yaml_both_ways(tmp_path: Path) -> None:
    recipe = Recipe.for_dataset("digits").replace(learning_rate=1.25e-3, seed=7)
    assert Recipe.load(recipe.save(tmp_path / "recipe.yaml")) == recipe


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("epochs: 30\naffine: {translate: 0.1}\nlearning_rate: 1e-3\n")
    recipe = Recipe.load(tmp_path / "r.yaml")
    assert (recipe.epochs, recipe.batch_size, recipe.affine.translate, recipe.affine.degrees) == (30, 1024, 0.1, 0)
    assert recipe.learning_rate == 1e-3


@pytest.mark.parametrize("name", dataset_names())
def test_every_built_in_dataset_has_a_recipe_of_its_own(name: str) -> None:
    assert Recipe.for_dataset(name) != Recipe.autoformer() == Recipe.for_dataset("imagefolder:/x")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epohcs: 3", "a recipe has no 'epohcs'; did you mean 'epochs'"),
        ("affine: {degree: 3}", r"a recipe has no 'affine\.degree'; did you mean 'degrees'"),
        ("epochs: zero", r"recipe epochs: .*, got 'zero'"),
        ("epochs: 0", "recipe epochs: .*greater than or equal to 1, got 0"),
        ("amp: fp8", "recipe amp: .*'auto', 'bf16' or 'off', got 'fp8'"),
        ("batch_size: 15", "batch_size must be even for mixup and cutmix, got 15"),
        ("- 3", r"must be a mapping such as 'epochs: 30', got \[3\]"),
        ("epochs: [", r"cannot read the recipe .*r\.yaml: while parsing"),
        ("!!python/object/apply:os.system ['true']", "cannot read the recipe"),
    ],
)
def test_a_wrong_recipe_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match=words) as e:
        Recipe.load(tmp_path / "r.yaml")
    assert "\n" not in str(e.value)


def test_an_absent_recipe_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*absent\.yaml: No such file"):
        Recipe.load(tmp_path / "absent.yaml")


@pytest.mark.parametrize(("epochs", "warmup"), [(1, 0), (10, 0), (50, 2), (1000, 40)])
def test_the_warm_up_follows_the_number_of_epochs(epochs: int, warmup: int) -> None:
    assert Recipe.autoformer().replace(epochs=epochs).warmup_epochs == warmup
    assert Recipe.autoformer().replace(epochs=epochs, warmup_epochs=0).warmup_epochs == 0


def test_the_recipes_that_are_kept_load(root: Path) -> None:
    kept = {path.stem: Recipe.load(path) for path in (root / "benchmarks" / "recipes").glob("*.yaml")}
    assert kept["fashion-mnist-paper"].sampling == "uniform"
    assert kept["fashion-mnist"] == Recipe.for_dataset("fashion-mnist")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sampling: both", "recipe sampling: .*'uniform' or 'sandwich', got 'both'"),
        ("ema_decay: 1", "recipe ema_decay: .*less than 1, got 1"),
        ("repeated_augmentation: 0", "recipe repeated_augmentation: .*got 0"),
        ("budget: 5", "recipe budget: .*dictionary, got 5"),
        ("distillation_temperature: 0", "recipe distillation_temperature: .*greater than or equal to 0.01, got 0"),
        ("class_weights: even", "recipe class_weights.*got 'even'"),
    ],
)
def test_a_wrong_option_is_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match=words) as e:
        Recipe.load(tmp_path / "r.yaml")
    assert "\n" not in str(e.value)
