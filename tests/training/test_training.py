"""Whole trainings: they learn, they resume bit for bit, they keep what is done, and they disturb nothing."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from nasformer.data import Dataset, load_dataset
from nasformer.errors import CheckpointError, DataError, RecipeError
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet, load_network
from nasformer.training import Recipe, TrainingResult, evaluate, train_subnet, train_supernet
from nasformer.training import state as state_module
from tests.tiny import brightness, tiny_space
from tests.training.conftest import Stop


def train(net: Supernet, data: Dataset, recipe: Recipe | None, **options: Any) -> TrainingResult:
    return train_supernet(net, data, recipe, device="cpu", progress=False, **options)


def same(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def numpy_key() -> Any:
    state: Any = np.random.get_state()
    return state[1].copy()


@pytest.mark.parametrize(("weight_sharing", "epochs"), [("entangled", 60), ("classical", 150)])
def test_subnets_learn_and_the_three_that_matter_are_validated(
    space: SearchSpace, data: Dataset, weight_sharing: Any, epochs: int
) -> None:
    net = Supernet(space, weight_sharing=weight_sharing)
    recipe = Recipe(epochs=epochs, batch_size=16, learning_rate=1e-2, warmup_epochs=2, mixup=0, cutmix=0, drop_path=0)
    result = train(net, data, recipe)
    assert set(result.validation) == {"smallest", "centroid", "largest"}
    assert all(score["accuracy"] > 90 for score in result.validation.values())
    assert result.steps == epochs * 4
    assert not net.training
    assert net.metadata["training"]["data"] == data.record
    for architecture in space.sample(5, seed=1):
        assert evaluate(net, data.test, architecture).accuracy > 85


def test_the_same_seed_gives_the_same_weights(space: SearchSpace, data: Dataset, recipe: Recipe) -> None:
    first, again, other = Supernet(space), Supernet(space), Supernet(space)
    train(first, data, recipe)
    torch.rand(7)  # global state is of no account
    train(again, data, recipe)
    train(other, data, recipe.replace(seed=2))
    assert same(first, again)
    assert not same(first, other)


def test_training_leaves_global_random_state_alone(space: SearchSpace, data: Dataset, recipe: Recipe) -> None:
    torch_state, python_state = torch.random.get_rng_state(), random.getstate()
    numpy_state = numpy_key()
    train(Supernet(space), data, recipe.replace(epochs=2))
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert np.array_equal(numpy_key(), numpy_state)
    assert random.getstate() == python_state


@pytest.mark.parametrize("unused_slices", ["decay", "freeze"])
@pytest.mark.parametrize("stop", [1, 3])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_resuming_gives_the_weights_of_an_uninterrupted_training(
    space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path, stop: int, unused_slices: str, task: str
) -> None:
    recipe = recipe.replace(unused_slices=unused_slices)
    if task == "regression":
        space, data = tiny_space(outputs=2), brightness(data)
        recipe = recipe.replace(**data.task.recipe, ema_decay=0.9, sampling="sandwich")
    whole = Supernet(space)
    expected = train(whole, data, recipe, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt, match=rf"after {stop} complete epochs, saved in .*part.*--resume"):
        train(Supernet(space), data, recipe, out=tmp_path / "part", callback=Stop(stop))
    resumed = Supernet(space, seed=99)
    result = train(resumed, data, recipe, out=tmp_path / "part", resume=True)
    assert same(resumed, whole)
    assert same(Supernet.load(tmp_path / "part" / "supernet.safetensors"), whole)
    timeless = [[{k: v for k, v in row.items() if k != "seconds"} for row in r.history] for r in (result, expected)]
    assert timeless[0] == timeless[1]
    rows = (tmp_path / "part" / "log.jsonl").read_text().splitlines()
    assert [json.loads(row)["epoch"] for row in rows] == [1, 2, 3, 4]


def test_checkpoints_may_be_rarer_than_epochs(
    space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    recipe = recipe.replace(checkpoint_every=2, validate_every=3)
    whole, resumed = Supernet(space), Supernet(space)
    result = train(whole, data, recipe)
    assert ["validation" in row for row in result.history] == [False, False, True, True]
    with pytest.raises(KeyboardInterrupt, match="after 4 complete epochs"):
        train(Supernet(space), data, recipe, out=tmp_path, callback=Stop(4))
    train(resumed, data, recipe, out=tmp_path, resume=True)
    assert same(resumed, whole)


def test_an_interruption_without_a_folder_says_so(space: SearchSpace, data: Dataset, recipe: Recipe) -> None:
    with pytest.raises(KeyboardInterrupt, match="nothing was saved, as no folder was given"):
        train(Supernet(space), data, recipe, callback=Stop(2))


def test_a_training_is_neither_overwritten_nor_continued_as_another(
    space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path
) -> None:
    train(Supernet(space), data, recipe, out=tmp_path)
    with pytest.raises(CheckpointError, match=r"already holds a training; continue it with resume"):
        train(Supernet(space), data, recipe, out=tmp_path)
    with pytest.raises(CheckpointError, match=r"another training: recipe\.learning_rate 0\.005 there, 0\.5 here"):
        train(Supernet(space), data, recipe.replace(learning_rate=0.5), out=tmp_path, resume=True)
    done = Supernet(space)
    train(done, data, recipe, out=tmp_path, resume=True)
    assert same(done, Supernet.load(tmp_path / "supernet.safetensors"))


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04 torn"])
def test_a_corrupt_state_is_one_line(
    space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "training.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"cannot read .*training\.pt.*remove it to start anew") as e:
        train(Supernet(space), data, recipe, out=tmp_path, resume=True)
    assert "\n" not in str(e.value)


def test_a_full_disk_is_one_line_and_loses_nothing(
    space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, resumed = Supernet(space), Supernet(space)
    train(whole, data, recipe)
    write, written = Path.write_bytes, []

    def sometimes_full(self: Path, content: bytes) -> int:
        written.append(self)
        if len(written) > 3:
            raise OSError(28, "No space left on device")
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", sometimes_full)
    with pytest.raises(CheckpointError, match=r"training\.pt: No space left on device"):
        train(Supernet(space), data, recipe, out=tmp_path)
    monkeypatch.undo()
    train(resumed, data, recipe, out=tmp_path, resume=True)
    assert same(resumed, whole)


def test_the_state_is_data_and_no_code(space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    train(Supernet(space), data, recipe, out=tmp_path)
    state = torch.load(tmp_path / state_module.FILE, weights_only=True)
    assert state["epoch"] == 4
    assert state["identity"]["space"] == space.fingerprint
    assert state["identity"]["data"]["fingerprint"] == data.record["fingerprint"]


def test_what_does_not_fit_is_refused_before_training(space: SearchSpace, data: Dataset, recipe: Recipe) -> None:
    with pytest.raises(DataError, match="dataset 'digits' has image_size 8, but space 'tiny' declares 4"):
        train(Supernet(space), load_dataset("digits"), recipe)
    with pytest.raises(RecipeError, match="batch_size 1024 exceeds the 72 train images of 'corners'"):
        train(Supernet(space), data, Recipe())
    with pytest.raises(RecipeError, match="device 'gpu' cannot be used"):
        train_supernet(Supernet(space), data, recipe, device="gpu", progress=False)


def test_a_network_alone_trains_and_resumes(space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path) -> None:
    def fresh() -> Any:
        return Supernet(space).extract(space.centroid)

    whole, resumed = fresh(), fresh()
    result = train_subnet(whole, data, recipe, progress=False, device="cpu")
    assert set(result.validation) == {"network"}
    with pytest.raises(KeyboardInterrupt):
        train_subnet(fresh(), data, recipe, out=tmp_path, callback=Stop(3), progress=False, device="cpu")
    train_subnet(resumed, data, recipe, out=tmp_path, resume=True, progress=False, device="cpu")
    assert same(resumed, whole)
    assert same(load_network(tmp_path / "network.safetensors"), whole)


def test_any_module_trains(data: Dataset, recipe: Recipe) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    result = train_subnet(module, data, recipe.replace(epochs=20, mixup=0, cutmix=0), progress=False, device="cpu")
    assert result.validation["network"]["accuracy"] > 80


def test_bfloat16_trains_on_the_cpu(space: SearchSpace, data: Dataset, recipe: Recipe) -> None:
    rough, exact = Supernet(space), Supernet(space)
    losses = [
        train(n, data, recipe.replace(amp=a)).history[-1]["train_loss"] for n, a in ((rough, "bf16"), (exact, "off"))
    ]
    assert not same(rough, exact)
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_evaluation_counts_what_a_loop_counts(space: SearchSpace, data: Dataset) -> None:
    net, architecture = Supernet(space, seed=3), space.smallest
    score = evaluate(net.train(), data.search, architecture, batch_size=5)
    assert net.training
    net.eval()
    with torch.no_grad():
        logits = torch.cat([net(data.search[i][0][None], architecture) for i in range(len(data.search))])
    labels = torch.tensor([data.search[i][1] for i in range(len(data.search))])
    assert score.accuracy == pytest.approx(100 * float((logits.argmax(1) == labels).float().mean()))
    assert score.loss == pytest.approx(float(nn.functional.cross_entropy(logits, labels)), rel=1e-5)
