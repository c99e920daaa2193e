"""``epoch_images``: an epoch sees a random part of the train images, another one each epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nasformer.data import Dataset
from nasformer.data.batches import iterate
from nasformer.errors import RecipeError
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.training import Recipe, finetune, train_supernet
from nasformer.training.loop import Trainer, TrainingTask
from tests.training.conftest import Stop
from tests.training.test_training import same

QUIET: dict[str, Any] = {"device": "cpu", "progress": False}


def seen(space: SearchSpace, data: Dataset, recipe: Recipe) -> list[list[int]]:
    """The train images of each epoch, by index."""
    trainer = Trainer(
        TrainingTask(Supernet(space), lambda epoch, steps: [], {}), data, recipe, device=torch.device("cpu")
    )
    images = next(iter(iterate(data.train, len(data.train))))[0].flatten(1)
    return [
        [
            int((images == image).all(1).nonzero()[0])
            for batch, _ in trainer._batches(epoch)
            for image in batch.flatten(1)
        ]
        for epoch in range(recipe.epochs)
    ]


def test_an_epoch_sees_so_many_images_and_the_next_others(space: SearchSpace, data: Dataset, recipe: Recipe) -> None:
    first, *others = seen(space, data, recipe.replace(epoch_images=40))
    assert len(first) == len(set(first)) == 32, "an incomplete batch is dropped"
    assert all(len(other) == 32 and set(other) != set(first) for other in others)
    for plenty in (None, 72, 10**6):
        assert [len(each) for each in seen(space, data, recipe.replace(epoch_images=plenty))] == [64] * 4
    drawn = seen(space, data, recipe.replace(epoch_images=48, repeated_augmentation=3))
    assert all(len(each) == 48 and len(set(each)) == 16 for each in drawn)


def test_steps_and_compute_are_those_of_the_part(
    space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    recipe = recipe.replace(epoch_images=40, sampling="shift", cost_bins=2, ema_decay=0.9)
    whole, resumed = Supernet(space), Supernet(space)
    result = train_supernet(whole, data, recipe, **QUIET)
    assert result.steps == 2 * 4
    with pytest.raises(KeyboardInterrupt):
        train_supernet(Supernet(space), data, recipe, out=tmp_path, callback=Stop(2), **QUIET)
    again = train_supernet(resumed, data, recipe, out=tmp_path, resume=True, **QUIET)
    assert same(resumed, whole)
    assert again.macs == result.macs
    assert [row["bin_losses"] for row in again.history] == [row["bin_losses"] for row in result.history]
    other = Supernet(space)
    train_supernet(other, data, recipe.replace(epoch_images=None), **QUIET)
    assert not same(other, whole)


def test_a_batch_larger_than_it_is_one_line(space: SearchSpace, data: Dataset, recipe: Recipe) -> None:
    words = r"batch_size 16 exceeds the 12 train images of 'corners' of an epoch \(epoch_images\); choose a smaller one"
    with pytest.raises(RecipeError, match=words) as caught:
        train_supernet(Supernet(space), data, recipe.replace(epoch_images=12), **QUIET)
    assert "\n" not in str(caught.value)
    with pytest.raises(RecipeError, match=r"recipe epoch_images: .*got 0"):
        recipe.replace(epoch_images=0)


def test_fine_tuning_and_other_epochs_keep_it(space: SearchSpace, data: Dataset, recipe: Recipe) -> None:
    recipe = recipe.replace(epochs=40, epoch_images=32)
    assert (recipe.finetuning().epochs, recipe.finetuning().epoch_images) == (4, 32)
    assert recipe.replace(epochs=20).epoch_images == 32
    net = Supernet(space).extract(space.smallest)
    tuned = finetune(net, data, recipe.finetuning().replace(epochs=1), **QUIET)
    assert tuned.training.macs == 3 * 32 * space.macs(space.smallest)
