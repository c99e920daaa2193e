"""Sandwiches, budgets, in-place distillation and averaged weights; all of them resume bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from nasformer.architecture import Architecture
from nasformer.cost import FunctionCost
from nasformer.data import Dataset, ImagesInMemory, iterate
from nasformer.errors import BudgetError, RecipeError
from nasformer.space import SearchSpace, load_space
from nasformer.supernet import Supernet
from nasformer.training import Recipe, evaluate, train_supernet
from nasformer.training.loop import Trainer, TrainingTask
from nasformer.training.sampling import SamplingSchedule, reference_subnets
from tests.training.conftest import Stop
from tests.training.test_training import same

CPU = torch.device("cpu")
PLAIN: dict[str, Any] = {"mixup": 0, "cutmix": 0, "drop_path": 0, "warmup_epochs": 0, "epochs": 2, "batch_size": 16}


def test_uniform_sampling_is_that_of_the_space(space: SearchSpace) -> None:
    drawn = SamplingSchedule(space, Recipe(seed=4))(3, 50)
    assert all(len(step) == 1 for step in drawn)
    assert {step[0].depth for step in drawn} == {1, 2}
    assert drawn == SamplingSchedule(space, Recipe(seed=4))(3, 50) != SamplingSchedule(space, Recipe(seed=4))(4, 50)


@pytest.mark.parametrize("k", [0, 1, 3])
def test_a_sandwich_has_the_ends_and_some_random_ones(space: SearchSpace, k: int) -> None:
    steps = SamplingSchedule(space, Recipe(sampling="sandwich", sandwich_random=k))(0, 20)
    assert all((step[0], step[-1], len(step)) == (space.largest, space.smallest, k + 2) for step in steps)
    assert (len({a for step in steps for a in step[1:-1]}) > 5) == (k > 0)


@pytest.mark.parametrize("sampling", ["uniform", "sandwich"])
def test_a_budget_holds_for_every_subnet_and_every_landmark(space: SearchSpace, sampling: str) -> None:
    low, high = (space.params(space.smallest) + 300, space.params(space.largest) - 500)
    recipe = Recipe(sampling=sampling, budget={"params": [low, high]})
    asked = {a for step in SamplingSchedule(space, recipe)(0, 30) for a in step} | set(
        reference_subnets(space, recipe).values()
    )
    assert len(asked) > 5
    costs = [space.params(architecture) for architecture in asked]
    assert all(low <= cost <= high for cost in costs)
    ends = space.feasible(params=(low, high)).bounds("params")
    found = reference_subnets(space, recipe)
    assert (space.params(found["smallest"]), space.params(found["largest"])) == ends


def test_a_budget_that_nothing_meets_is_one_line(space: SearchSpace, data: Dataset) -> None:
    with pytest.raises(BudgetError, match="params"):
        train_supernet(Supernet(space), data, Recipe(**PLAIN, budget={"params": 10}), progress=False)
    with pytest.raises(BudgetError, match="parms"):
        train_supernet(Supernet(space), data, Recipe(**PLAIN, budget={"parms": 10}), progress=False)


@pytest.mark.parametrize("inplace", [True, False, "next_larger"])
def test_a_sandwich_adds_up_the_gradients_of_its_losses(space: SearchSpace, data: Dataset, inplace: Any) -> None:
    options = {"sampling": "sandwich", "sandwich_random": 1, "inplace_distillation": inplace}
    recipe = Recipe(**PLAIN, **options, distillation_weight=0.3)
    net, reference = Supernet(space, seed=5, drop_path=0), Supernet(space, seed=5, drop_path=0)
    trainer = Trainer(TrainingTask(net, SamplingSchedule(space, recipe), {}), data, recipe, device=CPU)
    subnets = SamplingSchedule(space, recipe)(0, 1)[0]
    images, labels = data.train.images[:16], data.train.labels[:16]  # type: ignore[attr-defined]
    trainer.optimizer.zero_grad(set_to_none=False)
    loss = trainer._differentiate(images, labels, subnets)
    outputs = [reference(images, architecture) for architecture in subnets]
    losses = [F.cross_entropy(logits, labels, label_smoothing=0.1) for logits in outputs]
    share = {True: 1.0, False: 0.0, "next_larger": 0.3}[inplace]
    for number in (1, 2):
        teacher = outputs[number - 1 if inplace == "next_larger" else 0].detach().log_softmax(1)
        taught = (teacher.exp() * (teacher - outputs[number].log_softmax(1))).sum(1).mean()
        losses[number] = (1 - share) * losses[number] + share * taught
    expected = torch.stack(losses).mean()
    expected.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(loss, expected.detach())
    for (name, mine), other in zip(net.named_parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize(
    "options",
    [
        {"sampling": "sandwich", "sandwich_random": 1, "unused_slices": "freeze"},
        {
            "sampling": "stratified",
            "inplace_distillation": "next_larger",
            "largest_first": 0.3,
            "open_choices": 0.8,
            "unused_slices": "freeze",
        },
        {"sampling": "bins", "cost_bins": 3},
        {"sampling": "shift", "cost_bins": 2, "largest_first": 0.2, "open_choices": 0.4},
        {"sampling": "candidates", "cost_bins": 2, "candidates": 2},
        {"ema_decay": 0.8},
        {"ema_decay": 0.999, "ema_warmup": True, "repeated_augmentation": 3, "class_weights": "balanced"},
    ],
    ids=[
        "sandwich",
        "stratified-opening",
        "bins",
        "shift-opening",
        "candidates",
        "average",
        "average-warm-up-repeats-weights",
    ],
)
def test_the_options_resume_bit_for_bit(
    space: SearchSpace, data: Dataset, recipe: Recipe, tmp_path: Path, options: dict[str, Any]
) -> None:
    recipe = recipe.replace(**options)
    whole, resumed = Supernet(space), Supernet(space)
    train_supernet(whole, data, recipe, device="cpu", progress=False)
    with pytest.raises(KeyboardInterrupt):
        train_supernet(Supernet(space), data, recipe, device="cpu", progress=False, out=tmp_path, callback=Stop(3))
    train_supernet(resumed, data, recipe, device="cpu", progress=False, out=tmp_path, resume=True)
    assert same(resumed, whole)
    assert same(Supernet.load(tmp_path / "supernet.safetensors"), whole)


def test_shift_learns_from_the_rows_of_a_training(space: SearchSpace, data: Dataset) -> None:
    recipe = Recipe(**{**PLAIN, "epochs": 6}, sampling="shift", cost_bins=2)
    result = train_supernet(Supernet(space), data, recipe, device="cpu", progress=False)
    losses = [row["bin_losses"] for row in result.history]
    assert all(len(each) == 2 and any(each) for each in losses)
    schedule = SamplingSchedule(space, recipe)
    schedule.sampler.learn(result.history[:3])
    draws = [schedule(3, 4), SamplingSchedule(space, recipe)(3, 4)]
    macs = [3 * 16 * sum(space.macs(each) for (each,) in steps) for steps in draws]
    assert result.history[3]["macs"] == macs[0]
    assert any(
        SamplingSchedule(space, recipe)(epoch, 4) != learnt(space, recipe, result.history[:epoch])(epoch, 4)
        for epoch in range(6)
    )


def learnt(space: SearchSpace, recipe: Recipe, rows: list[dict[str, Any]]) -> SamplingSchedule:
    schedule = SamplingSchedule(space, recipe)
    schedule.sampler.learn(rows)
    return schedule


def test_candidates_are_recorded_and_alone_validated(space: SearchSpace, data: Dataset, tmp_path: Path) -> None:
    recipe = Recipe(**PLAIN, sampling="candidates", cost_bins=2, candidates=2)
    train_supernet(Supernet(space), data, recipe, device="cpu", progress=False, out=tmp_path)
    net = Supernet.load(tmp_path / "supernet.safetensors")
    known = [Architecture.from_dict(each) for each in net.metadata["training"]["candidates"]]
    sampler = SamplingSchedule(space, recipe).sampler
    assert known == sampler.candidates
    assert len(known) == 4
    largest = net.metadata["training"]["validation"]["largest"]
    assert evaluate(net, data.search, max(known, key=space.macs)).loss == pytest.approx(largest["loss"])


def test_the_average_is_what_is_validated_and_kept(space: SearchSpace, data: Dataset) -> None:
    recipe = Recipe(**PLAIN, ema_decay=0.5)
    net, seen = Supernet(space), []
    trainer = Trainer(
        TrainingTask(net, SamplingSchedule(space, recipe), {"largest": space.largest}), data, recipe, device=CPU
    )
    step = trainer._step

    def watched(*arguments: Any) -> torch.Tensor:
        loss = step(*arguments)
        seen.append(net.head.weight.detach().clone())
        return loss

    trainer._step = watched  # type: ignore[method-assign, assignment]
    result = trainer.run(None, False, False, None)
    expected = seen[0]
    for weight in seen[1:]:
        expected = 0.5 * expected + 0.5 * weight
    torch.testing.assert_close(net.head.weight.detach(), expected)
    assert not torch.allclose(seen[-1], expected, atol=1e-4)
    assert evaluate(net, data.search, space.largest).loss == pytest.approx(result.validation["largest"]["loss"])


def test_repeats_come_as_often_as_asked(data: Dataset) -> None:
    split = ImagesInMemory(torch.zeros(30, 1, 2, 2), torch.arange(30))
    places = torch.cat([labels for _, labels in iterate(split, 6, seed=1, repeats=3)])
    assert len(places) == 30
    assert set(torch.bincount(places, minlength=30).tolist()) == {0, 3}
    once = torch.cat([labels for _, labels in iterate(split, 6, seed=1)])
    assert places[::3].tolist() == once[:10].tolist()


def test_class_weights_count_images_by_their_class(space: SearchSpace, data: Dataset) -> None:
    recipe = Recipe(**PLAIN, label_smoothing=0, class_weights=[0, 1, 2, 5])
    trainer = Trainer(TrainingTask(Supernet(space), SamplingSchedule(space, recipe), {}), data, recipe, device=CPU)
    logits, labels = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 4
    each = F.cross_entropy(logits, labels, reduction="none") * torch.tensor([0.0, 1, 2, 5])[labels]
    torch.testing.assert_close(trainer.objective(logits, labels), each.mean())
    with pytest.raises(RecipeError, match="class_weights has 3 weights, but the data 4"):
        train_supernet(Supernet(space), data, recipe.replace(class_weights=[1, 1, 1]), progress=False)
    with pytest.raises(RecipeError, match=r"class_weights.*weights must be 0 or more, and the largest from"):
        Recipe(class_weights=[-1.0, 2.0])


def test_the_ends_of_a_set_that_cannot_be_counted_are_the_most_extreme_known() -> None:
    space = load_space("digits").with_cost(FunctionCost("heads", lambda arch: sum(arch.num_heads) % 4))
    found = reference_subnets(space, Recipe(budget={"heads": (3, 3)}))
    feasible = space.feasible(heads=(3, 3))
    assert not feasible.countable
    drawn = [space.params(each) for each in feasible.sample(100, seed=5)]
    assert all(each in feasible for each in found.values())
    assert space.params(found["smallest"]) <= min(drawn)
    assert space.params(found["largest"]) >= max(drawn)
