"""Digits as PNG files with a label table: other tasks are trained, searched and fine-tuned better than by chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from nasformer.data import Dataset, load_dataset
from nasformer.data.decoded import decode_once
from nasformer.fitness import InheritedFitness
from nasformer.searcher import Searcher
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.supernet import Supernet
from nasformer.training import FinetuneResult, Recipe, finetune, train_supernet
from tests.training.conftest import Stop

IMAGES = 600
LEARN = Recipe(
    epochs=100,
    batch_size=30,
    learning_rate=5e-3,
    warmup_epochs=5,
    mixup=0,
    cutmix=0,
    label_smoothing=0,
    drop_path=0,
    validate_every=100,
)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A label table of digits, written as 8 × 8 images."""
    folder, digits = tmp_path_factory.mktemp("digits"), load_digits()
    images, values = digits.images[:IMAGES], digits.target[:IMAGES]
    for number, pixels in enumerate(images):
        Image.fromarray((pixels * 15.9).astype(np.uint8)).save(folder / f"{number}.png")
    columns: dict[str, Any] = {
        "image": [f"{number}.png" for number in range(IMAGES)],
        "even": (values % 2 == 0).astype(int),
        "loop": np.isin(values, (0, 6, 8, 9)).astype(int),
        "above 4": (values > 4).astype(int),
        "digit": values,
        "brightness": images.mean(axis=(1, 2)),
    }
    pd.DataFrame(columns).to_csv(folder / "labels.csv", index=False)
    return folder / "labels.csv"


def space(outputs: int) -> SearchSpace:
    """Return a space of tiny networks for these images."""
    return SearchSpace(
        "tiny-table",
        embed_dim=choice(16, 32),
        depth=choice(1, 2),
        num_heads=per_layer(1, 2),
        mlp_ratio=per_layer(1, 2),
        head_dim=8,
        image_size=8,
        patch_size=2,
        in_channels=3,
        num_classes=outputs,
        max_distance=3,
    )


def load(name: str, folder: Path) -> Dataset:
    """Return a dataset whose train images are whole: a crop of 8 × 8 pixels is no digit any more."""
    data = load_dataset(name, image_size=8)
    data.train.transform = data.search.transform  # type: ignore[attr-defined]
    data.train = decode_once(data.train, folder)
    return data


def search_and_finetune(data: Dataset) -> tuple[FinetuneResult, float]:
    """Return the fine-tuned winner, and the spread of the values that ranked the architectures."""
    net = Supernet(space(data.num_classes))
    train_supernet(net, data, LEARN, device="cpu", progress=False)
    fitness = InheritedFitness(net, data.search, data=data.record)
    result = Searcher(net.space, "random", fitness, seed=0).run(evaluations=10, progress=False)
    values = [float(trial.value or 0) for trial in result.trials]
    winner = result.best.extract(net)
    return finetune(winner, data, LEARN.finetuning(), device="cpu", progress=False), float(np.std(values))


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NASFORMER_HOME", str(tmp_path))  # of decoded images


@pytest.mark.slow
def test_several_labels_are_learnt_from_a_table(table: Path, tmp_path: Path) -> None:
    data = load(f"table:{table}?targets=even,loop,above+4", tmp_path)
    result, spread = search_and_finetune(data)
    chance = 100 * float(data.test.labels.mean())  # type: ignore[attr-defined]  # mAP at random is the labels' share
    figures = result.figures["test"]
    assert figures["mean_average_precision"] > chance + 20
    assert figures["loss"] < 0.55  # by chance: ln 2
    assert spread > 0


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["mse", "smooth_l1"])
def test_numbers_are_learnt_from_a_table(table: Path, tmp_path: Path, loss: str) -> None:
    data = load(f"table:{table}?targets=digit,brightness&loss={loss}", tmp_path)
    result, spread = search_and_finetune(data)
    figures = {row["target"]: row for row in result.figures["test"]["per_target"]}
    assert figures["digit"]["r2"] > 0.3  # by chance: 0
    assert figures["brightness"]["r2"] > 0.5
    assert spread > 0


def test_resuming_a_regression_on_augmented_files_gives_the_weights_of_an_uninterrupted_one(
    table: Path, tmp_path: Path
) -> None:
    recipe = LEARN.replace(epochs=3, batch_size=90, warmup_epochs=1, drop_path=0.1)

    def train(net: Supernet, **options: Any) -> Any:
        data = load_dataset(f"table:{table}?targets=digit", image_size=8)  # its default augmentation
        return train_supernet(net, data, recipe, device="cpu", progress=False, **options)

    whole, resumed = Supernet(space(1)), Supernet(space(1), seed=99)
    expected = train(whole)
    with pytest.raises(KeyboardInterrupt, match="after 2 complete epochs, saved in"):
        train(Supernet(space(1)), out=tmp_path / "run", callback=Stop(2))
    result = train(resumed, out=tmp_path / "run", resume=True)
    pairs = zip(resumed.state_dict().values(), whole.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert result.validation == expected.validation
    assert set(expected.validation["largest"]) == {"loss", "mae"}
