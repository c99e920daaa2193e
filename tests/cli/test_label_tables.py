"""``--data table:FILE``: a supernet learns another task without a recipe file, and a search reloads its data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import nasformer as nf
from nasformer.cli.training import read_recipe
from nasformer.data import load_dataset
from nasformer.space import load_space
from nasformer.training import Recipe
from tests.cli.conftest import Command
from tests.report.html import read

Refused = Callable[..., None]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The working folder has a space of one output, images in ``photos`` and a table."""
    monkeypatch.setenv("NASFORMER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    rng = np.random.default_rng(0)
    for number in range(60):
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)).save(f"photos/{number}.png")
    Path("labels.csv").write_text("image,age,old\n" + "".join(f"{n}.png,{n / 3},{n % 2}\n" for n in range(60)))
    declared = {**load_space("digits").to_dict(), "name": "ages", "in_channels": 3, "num_classes": 1}
    Path("space.yaml").write_text(yaml.safe_dump(declared))
    return "table:labels.csv?targets=age&root=photos"


def test_a_regression_is_trained_without_a_recipe_and_searched(nasformer: Command, table: str) -> None:
    done = nasformer("train", "space.yaml", "--data", table, "--epochs", 2, "--device", "cpu", "-q", "--json")
    assert done.code == 0, done.err
    training, here = json.loads(done.out), Path.cwd()
    assert {training["recipe"][key] for key in ("mixup", "cutmix", "label_smoothing")} == {0.0}
    assert training["recipe"]["batch_size"] == 8  # of 36 train images
    assert training["data"]["name"] == f"table:{here}/labels.csv?root={here}/photos&targets=age"
    assert training["data"]["task"]["name"] == "regression"
    done = nasformer(
        "search", "space.yaml", "--strategy", "random", "-n", 3, "--objective", "mae", "--out", "run", "-q"
    )
    assert done.code == 0, done.err
    found = nf.SearchResult.load("run/result.jsonl")
    assert found.settings["fitness"]["objective"] == "mae"
    done = nasformer("evaluate", "run", "--split", "search", "--json")
    winner = json.loads(done.out)["results"][0]
    assert winner["mae"] == pytest.approx(-found.best.fitness)
    assert winner["loss"] > 0
    shown = nasformer("evaluate", "run", "--split", "search").out
    assert f"loss {winner['loss']:.4f}" in " ".join(shown.split())
    assert f"MAE {winner['mae']:.4f}" in " ".join(shown.split())
    done = nasformer("finetune", "run", "--epochs", 1, "--device", "cpu", "--out", "fine", "-q")
    assert done.code == 0, done.err
    test = json.loads(Path("fine/finetune.json").read_text())["test"]
    assert f"fine-tuned {test['mae']:.4f} {test['r2']:.4f} {test['loss']:.4f}" in " ".join(done.out.split())
    page = read(Path("fine/report.html")).text
    assert f"Its MAE on {test['images']} test images is {test['mae']:.4f}" in page
    assert "accuracy" not in page


def test_root_may_be_an_option_of_the_command(nasformer: Command, refused: Refused, table: str) -> None:
    name = table.partition("&")[0]
    refused(r"row 1, column 'image': there is no file .*/0\.png; .*root=", "train", "space.yaml", "--data", name)
    run = ["train", "space.yaml", "--data", name, "--root", "photos", "--epochs", 1, "--device", "cpu", "-q", "--json"]
    done = nasformer(*run)
    here = Path.cwd()
    assert json.loads(done.out)["data"]["name"] == f"table:{here}/labels.csv?root={here}/photos&targets=age"


def test_faults_of_a_table_are_refused_in_one_line(refused: Refused, table: str) -> None:
    refused(
        "no option 'target'; did you mean 'targets'", "train", "space.yaml", "--data", "table:labels.csv?target=age"
    )
    refused(r"cannot read the label table '.*/none\.csv'", "train", "space.yaml", "--data", "table:none.csv")
    refused(
        "has num_classes 2, but space 'ages' declares 1",
        "train",
        "space.yaml",
        "--data",
        table.replace("age", "age,old"),
    )


def test_a_recipe_of_other_weights_is_fitted_to_the_task(table: str) -> None:
    data = load_dataset(table, image_size=8)
    known = {"recipe": Recipe(mixup=0.5, batch_size=16).to_dict()}
    recipe = read_recipe(None, known, data)
    assert (recipe.mixup, recipe.cutmix, recipe.label_smoothing, recipe.batch_size) == (0, 0, 0, 16)
    Path("mine.yaml").write_text("batch_size: 2048\n")
    assert read_recipe(Path("mine.yaml"), known, data) == recipe.replace(batch_size=2048)
