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
        ("epochs: 1\nepochs: 2", "cannot read the recipe .*'epochs' is given twice"),
        ("betas: [0.9, 1.5]", r"^recipe betas: .*below 1, got \[0\.9, 1\.5\]"),
        ("betas: [0.9, 5]", r"^recipe betas: .*got \[0\.9, 5\]"),
        ("betas: [0.9, x]", "^recipe betas: .*got 'x'"),
        ("betas: [.nan, 0.9]", "^recipe betas: .*finite number, got nan"),
        ("cutmix: 1e-320", "^recipe cutmix: .*at least 0.001, or 0 .*got 1e-320"),
        ("mixup: 1e9", "^recipe mixup: .*1000, got 1000000000.0"),
        ("learning_rate: .inf", "^recipe learning_rate: .*finite number, got inf"),
        ("affine: {degrees: .nan}", r"^recipe affine\.degrees: .*finite number, got nan"),
        ("epochs: 1e18", r"^recipe epochs: .*1000000, got 1e\+18"),
        ("batch_size: 1e15", "^recipe batch_size: .*got 1000000000000000.0"),
        ("repeated_augmentation: 1e9", "^recipe repeated_augmentation: .*100, got"),
        ("sandwich_random: 1e9", "^recipe sandwich_random: .*100, got"),
        ("seed: 1e30", r"^recipe seed: .*got 1e\+30"),
        ("class_weights: [1, .nan]", r"^recipe class_weights: .*got \[1, nan\]"),
        ("class_weights: [0, 1e-320]", "^recipe class_weights: .*the largest from 1e-6"),
        ("auto_augment: nonsense", "^recipe auto_augment: a policy of timm, such as .*got 'nonsense'"),
        ("auto_augment: rand-n99999999", "^recipe auto_augment: .*got 'rand-n99999999'"),
        ("amp: no", "^recipe amp: .*got 'no'"),
        (f"epochs: [{'1,' * 9999}]", r"^recipe epochs: .{0,60}got \[1, 1, .{0,80}$"),
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
    assert kept["cifar10"].sampling == "bins"
    assert kept["fashion-mnist"] == Recipe.for_dataset("fashion-mnist")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sampling: both", "unknown sampling 'both'; known: bins, candidates, sandwich, shift, stratified"),
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


def test_words_of_older_yaml_are_read_as_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "amp: off\nema_warmup: no\ngrad_checkpointing: on\nauto_augment: original-mstd0.5\n"
    )
    recipe = Recipe.load(tmp_path / "r.yaml")
    assert (recipe.amp, recipe.ema_warmup, recipe.grad_checkpointing) == ("off", False, True)
    assert Recipe.load(recipe.save(tmp_path / "again.yaml")) == recipe


@pytest.mark.parametrize(("given", "warmup"), [({"epochs": 5}, 4), ({"epochs": 5, "warmup_epochs": 9}, 4)])
def test_a_warm_up_beyond_the_training_is_cut_with_a_note(
    given: dict[str, int], warmup: int, caplog: pytest.LogCaptureFixture
) -> None:
    assert Recipe(**given).warmup_epochs == warmup
    assert [record.message for record in caplog.records if record.name == "nasformer.training"] == [
        f"warm-up of {warmup} instead of {given.get('warmup_epochs', 20)} epochs: the training has 5"
    ]
    caplog.clear()
    assert Recipe(epochs=5, warmup_epochs=4).warmup_epochs == 4
    assert not caplog.records
