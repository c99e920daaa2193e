"""A training that is no longer finite ends at that step, and the last finite epoch is kept."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nasformer.data import Dataset, ImagesInMemory
from nasformer.errors import CheckpointError, DivergenceError
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.training import Recipe, finetune, train_supernet
from nasformer.training.state import all_finite, snapshot


class Poison:
    """Make a weight NaN after an epoch, as an overflow in bfloat16 would."""

    def __init__(self, net: Supernet, epoch: int) -> None:
        self.net, self.epoch = net, epoch

    def __call__(self, row: dict[str, Any]) -> None:
        if row["epoch"] == self.epoch:
            with torch.no_grad():
                self.net.patch_embed.weight[0] = math.nan


def train(net: Supernet, data: Dataset, recipe: Recipe, **options: Any) -> Any:
    return train_supernet(net, data, recipe, device="cpu", progress=False, **options)


def state_of(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(folder / "training.pt", weights_only=True)
    return state


@pytest.mark.parametrize("checkpoint_every", [1, 4])
def test_the_last_finite_epoch_is_kept_and_goes_on(
    space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path, checkpoint_every: int
) -> None:
    recipe = recipe.replace(checkpoint_every=checkpoint_every)
    net, out = Supernet(space), tmp_path / "t"
    words = (
        r"diverged: the loss is nan in epoch 3, step 1 of \d+, at learning rate .*after epoch 2, saved in .*--resume"
    )
    with pytest.raises(DivergenceError, match=words):
        train(net, data, recipe, out=out, callback=Poison(net, 2))
    state = state_of(out)
    assert (state["epoch"], len(state["history"])) == (2, 2)
    assert all_finite(state)
    assert all_finite(net.state_dict())
    rows = [json.loads(line, parse_constant=pytest.fail) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row["train_loss"] is None for row in rows] == [False, False, True]
    assert not (out / "supernet.safetensors").exists()
    with pytest.raises(
        CheckpointError, match=r"recipe\.mixup .* \(after a divergence learning_rate, grad_clip and amp"
    ):
        train(Supernet(space), data, recipe.replace(mixup=0.5), out=out, resume=True)
    changed = recipe.replace(learning_rate=recipe.learning_rate / 2, grad_clip=1.0, amp="off")
    resumed, whole = Supernet(space), Supernet(space)
    train(resumed, data, changed, out=out, resume=True)
    train(whole, data, recipe, out=tmp_path / "whole")
    assert all_finite(resumed.state_dict())
    with pytest.raises(CheckpointError, match=r"belongs to another training: recipe\.amp .*; recipe\.learning_rate"):
        train(Supernet(space), data, recipe, out=out, resume=True)
    with pytest.raises(CheckpointError, match=r"belongs to another training: recipe\.amp"):
        train(Supernet(space), data, recipe.replace(amp="off"), out=tmp_path / "whole", resume=True)


def test_the_same_recipe_reaches_the_weights_of_an_undisturbed_training(
    space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    whole, net, resumed = Supernet(space), Supernet(space), Supernet(space)
    train(whole, data, recipe)
    with pytest.raises(DivergenceError):
        train(net, data, recipe, out=tmp_path, callback=Poison(net, 2))
    train(resumed, data, recipe, out=tmp_path, resume=True)
    assert all(torch.equal(value, resumed.state_dict()[key]) for key, value in whole.state_dict().items())


def test_a_weight_that_no_loss_shows_is_found_at_the_end_of_the_epoch(
    space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    net = Supernet(space)
    unused = torch.nn.Parameter(torch.zeros(3))
    net.register_parameter("unused", unused)

    def poison(row: dict[str, Any]) -> None:
        with torch.no_grad():
            unused[1] = math.inf

    with pytest.raises(DivergenceError, match=r"diverged: a weight is not finite after epoch 2, .*after epoch 1"):
        train(net, data, recipe, out=tmp_path, callback=poison)
    assert all_finite(state_of(tmp_path))


def test_without_a_folder_the_network_has_the_last_finite_epoch(
    space: SearchSpace, data: Dataset, recipe: Recipe
) -> None:
    net, two = Supernet(space), Supernet(space)
    with pytest.raises(DivergenceError, match="after epoch 2; start again and a lower learning_rate"):
        train(net, data, recipe, callback=Poison(net, 2))
    stopped: list[dict[str, Tensor]] = []
    train(two, data, recipe, callback=lambda row: stopped.append(snapshot(two.state_dict())))
    assert all(torch.equal(value, net.state_dict()[key]) for key, value in stopped[1].items())


def test_a_high_learning_rate_and_bad_images_are_told_apart(
    space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    high = recipe.replace(learning_rate=1e12, warmup_epochs=0, unused_slices="decay")
    with pytest.raises(DivergenceError, match=r"the loss is (nan|inf) in epoch 1, step \d+ of .*after epoch 0"):
        train(Supernet(space), data, high)
    with pytest.raises(DivergenceError, match="the loss is"):
        finetune(Supernet(space).extract(space.smallest), data, high, device="cpu", progress=False, out=tmp_path)
    assert not (tmp_path / "finetune.json").exists()
    assert not (tmp_path / "network.safetensors").exists()
    assert isinstance(data.train, ImagesInMemory)
    data.train.images[5] = math.nan
    with pytest.raises(DivergenceError, match="an image of the batch holds NaN or infinity in epoch 1"):
        train(Supernet(space), data, recipe)


def test_a_damaged_state_names_what_it_lacks(space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    train(Supernet(space), data, recipe, out=tmp_path)
    whole = state_of(tmp_path)
    damaged = {
        "lacks epoch, optimizer": {key: whole[key] for key in whole if key not in ("epoch", "optimizer")},
        "has format 7": {**whole, "format_version": 7},
        "cannot read": {**whole, "identity": 3},
    }
    for words, state in damaged.items():
        torch.save(state, tmp_path / "training.pt")
        with pytest.raises(CheckpointError, match=words):
            train(Supernet(space), data, recipe, out=tmp_path, resume=True)
