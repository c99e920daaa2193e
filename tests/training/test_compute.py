"""Multiply-accumulates of trainings: three forward passes of each subnet that ran, and the teacher's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nasformer.architecture import uniform
from nasformer.cost import Geometry
from nasformer.data import Dataset
from nasformer.errors import RecipeError
from nasformer.space import SearchSpace, load_space
from nasformer.supernet import Supernet, VisionTransformer
from nasformer.training import Recipe, finetune, train_subnet, train_supernet
from nasformer.training.compute import for_compute, training_macs
from nasformer.training.sampling import SamplingSchedule

QUIET: dict[str, Any] = {"device": "cpu", "progress": False}


@pytest.mark.parametrize("sampling", ["uniform", "sandwich"])
@pytest.mark.parametrize("accumulation_steps", [1, 2])
def test_each_subnet_that_ran_counts_three_times_its_forward_pass(
    space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path, sampling: str, accumulation_steps: int
) -> None:
    recipe = recipe.replace(epochs=2, sampling=sampling, accumulation_steps=accumulation_steps, grad_checkpointing=True)
    result = train_supernet(Supernet(space), data, recipe, out=tmp_path, **QUIET)
    draws = SamplingSchedule(space, recipe)
    expected = [3 * 16 * sum(space.macs(a) for step in draws(epoch, 4) for a in step) for epoch in (0, 1)]
    assert [row["macs"] for row in result.history] == expected
    assert result.macs == result.to_dict()["macs"] == sum(expected)
    assert [json.loads(line)["macs"] for line in (tmp_path / "log.jsonl").read_text().splitlines()] == expected


def test_a_teacher_of_ours_adds_its_forward_pass(space: SearchSpace, data: Dataset, recipe: Recipe) -> None:
    teacher, recipe = Supernet(space).extract(space.largest), recipe.replace(epochs=1)
    net = Supernet(space).extract(space.smallest)
    result = train_subnet(net, data, recipe, teacher=teacher, **QUIET)
    assert result.macs == 64 * (3 * space.macs(space.smallest) + space.macs(space.largest))
    other = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    assert train_subnet(net, data, recipe, teacher=other, **QUIET).macs == 64 * 3 * space.macs(space.smallest)


def test_a_frozen_backbone_has_no_backward_pass(space: SearchSpace, data: Dataset, recipe: Recipe) -> None:
    net = Supernet(space).extract(space.smallest)
    tuned = finetune(net, data, recipe.replace(epochs=1), freeze="backbone", **QUIET)
    assert tuned.training.macs == 64 * space.macs(space.smallest)


def test_the_compute_of_other_networks_is_unknown(data: Dataset, recipe: Recipe) -> None:
    result = train_subnet(nn.Sequential(nn.Flatten(), nn.Linear(16, 4)), data, recipe.replace(epochs=1), **QUIET)
    assert [row["macs"] for row in result.history] == [None]
    assert result.macs is None


def test_the_count_is_that_of_torch() -> None:
    geometry = Geometry(image_size=16, patch_size=4, num_classes=10, head_dim=16, max_distance=None)
    net = VisionTransformer(geometry, uniform(32, 3, 2, 2))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:  # fused ones are not counted
        net(torch.randn(8, 3, 16, 16)).sum().backward()
    counted = training_macs(net, [(None,)], 8)
    assert counted is not None
    by_images = 8 * geometry.patches * geometry.patch_dim * 32  # the gradient of the images, which nobody needs
    assert counted == pytest.approx(counter.get_total_flops() / 2 + by_images, rel=0.02)


@given(st.floats(1e6, 1e10), st.integers(1000, 10**6), st.integers(16, 10**5), st.integers(1, 40))
def test_a_recipe_takes_the_compute_in_whole_batches(macs: float, forward: int, images: int, epochs: int) -> None:
    recipe = Recipe(batch_size=16)
    if macs / (3 * forward) < 16 * epochs * (1 + 1e-9):
        return
    found = for_compute(recipe, macs, forward, images, epochs)
    assert found.epoch_images is not None
    assert found.epoch_images % 16 == 0
    assert found.epoch_images <= images
    assert found.epochs >= epochs
    taken = 3 * forward * found.epochs * found.epoch_images
    assert taken == pytest.approx(macs, rel=0.5 / epochs)


@pytest.mark.parametrize("images", [400, 1000])
def test_a_training_takes_the_compute(space: SearchSpace, data: Dataset, recipe: Recipe, images: int) -> None:
    net, forward = Supernet(space).extract(space.smallest), space.macs(space.smallest)
    macs = 3 * images * forward
    found = train_subnet(net, data, for_compute(recipe, macs, forward, len(data.train)), **QUIET)
    assert found.macs == pytest.approx(macs, rel=0.05)


def test_too_little_compute_is_one_line() -> None:
    words = "1e\\+05 multiply-accumulates are less than a batch of 50 of a network of 1,000 takes; take more, a smaller"
    with pytest.raises(RecipeError, match=words):
        for_compute(Recipe(batch_size=50), 1e5, 1000, 10_000)


def test_little_compute_has_fewer_epochs() -> None:
    found = for_compute(Recipe(batch_size=50), 6e5, 1000, 10_000)
    assert (found.epochs, found.epoch_images) == (4, 50)


def test_a_network_without_branches_has_a_backward_pass() -> None:
    wide = load_space("digits-wide")
    net = Supernet(wide).extract(wide.smallest)
    assert not list(net.blocks.parameters())
    assert training_macs(net, [(None,)], 2) == 3 * 2 * wide.macs(wide.smallest)
