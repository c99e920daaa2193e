"""Weight decay where it belongs, the schedule, and what becomes of slices that take no part."""

from __future__ import annotations

import math

import pytest
import torch

from nasformer.architecture import Architecture
from nasformer.data import Dataset
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet, parameter_shapes
from nasformer.training import Recipe
from nasformer.training.loop import Trainer, TrainingTask
from nasformer.training.optimizer import make_optimizer, make_scheduler

SMALL = Architecture(8, (1,), (1.0,))
CPU = torch.device("cpu")


def test_decay_spares_cls_token_positions_and_vectors_but_not_the_relative_tables(space: SearchSpace) -> None:
    net = Supernet(space)
    groups = make_optimizer(net, Recipe(weight_decay=0.3)).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    spared = {name for name, p in net.named_parameters() if decay[id(p)] == 0}
    assert len(decay) == len(list(net.parameters()))
    assert {"patch_embed.cls_token", "patch_embed.positions", "norm.weight", "blocks.0.attn.qkv.bias"} <= spared
    assert not any("relative" in name for name in spared)
    assert all(p.ndim == 1 for n, p in net.named_parameters() if n in spared and "patch_embed" not in n)


def test_the_schedule_is_a_warm_up_and_a_cosine(space: SearchSpace) -> None:
    recipe = Recipe(epochs=10, learning_rate=1.0, min_learning_rate=0.1, warmup_epochs=2, warmup_learning_rate=0.0)
    optimizer = make_optimizer(Supernet(space), recipe)
    scheduler = make_scheduler(optimizer, recipe, steps_per_epoch=5)

    def rate(step: int) -> float:
        scheduler.step_update(step)
        return float(optimizer.param_groups[0]["lr"])

    assert [rate(0), rate(5)] == pytest.approx([0.0, 0.5])
    cosine = [0.1 + 0.45 * (1 + math.cos(math.pi * step / 50)) for step in (10, 30, 49)]
    assert [rate(10), rate(30), rate(49)] == pytest.approx(cosine)


def trainer(space: SearchSpace, data: Dataset, **changes: object) -> Trainer:
    recipe = Recipe(batch_size=16, mixup=0, cutmix=0, warmup_epochs=0, epochs=2).replace(**changes)
    net = Supernet(space)
    return Trainer(
        TrainingTask(
            net, lambda epoch, steps: [(SMALL,)] * steps, {}, shapes=lambda a: parameter_shapes(space.geometry, a)
        ),
        data,
        recipe,
        device=CPU,
    )


def outside(space: SearchSpace, trained: Trainer) -> dict[str, torch.Tensor]:
    """Every parameter with the part that SMALL uses set to zero."""
    shapes = parameter_shapes(space.geometry, SMALL)
    left = {}
    for name, parameter in trained.net.named_parameters():
        left[name] = parameter.detach().clone()
        if name in shapes:
            left[name][tuple(slice(n) for n in shapes[name])] = 0
    return left


def step(trained: Trainer, architecture: Architecture) -> None:
    images, labels = next(iter(trained._batches(0)))
    trained._step(images, labels, (architecture,))


def test_unused_slices_decay_and_keep_their_momentum_by_default(space: SearchSpace, data: Dataset) -> None:
    trained = trainer(space, data, weight_decay=0.1, learning_rate=0.01)
    before = outside(space, trained)
    step(trained, SMALL)
    after = outside(space, trained)
    for name in ("blocks.1.mlp.fc1.weight", "blocks.0.attn.qkv.weight"):
        torch.testing.assert_close(after[name], before[name] * (1 - 0.1 * 0.01))
    step(trained, space.largest)  # gives every weight momentum
    before = outside(space, trained)
    step(trained, SMALL)
    moved = (outside(space, trained)["blocks.1.mlp.fc1.weight"] - before["blocks.1.mlp.fc1.weight"]).abs()
    assert float(moved.min()) > 0


def test_unused_slices_stay_where_they_are_if_frozen(space: SearchSpace, data: Dataset) -> None:
    trained = trainer(space, data, weight_decay=0.1, learning_rate=0.01, unused_slices="freeze")
    step(trained, space.largest)
    before, whole = outside(space, trained), {n: p.detach().clone() for n, p in trained.net.named_parameters()}
    moments = {n: trained.optimizer.state[p]["exp_avg"].clone() for n, p in trained.net.named_parameters()}
    step(trained, SMALL)
    after = outside(space, trained)
    assert all(torch.equal(after[name], before[name]) for name in before)
    used = parameter_shapes(space.geometry, SMALL)
    for name, parameter in trained.net.named_parameters():
        moment = trained.optimizer.state[parameter]["exp_avg"]
        if name in used:
            inside = tuple(slice(n) for n in used[name])
            assert not torch.equal(parameter[inside], whole[name][inside]), name
        else:
            assert torch.equal(moment, moments[name])
