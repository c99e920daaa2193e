"""A population walked along its tree: the same bits as one by one, each failure alone, memory within its bound."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from nasformer.architecture import Architecture, uniform
from nasformer.data import Dataset
from nasformer.data.batches import iterate
from nasformer.fitness import InheritedFitness
from nasformer.fitness.outcome import Outcome
from nasformer.fitness.population import population_outcomes, walk
from nasformer.fitness.prefix_tree import PrefixTree
from nasformer.search import evaluate_each
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet
from nasformer.tasks import get_task

TASK = get_task("classification")()


@pytest.fixture
def archs(space: SearchSpace) -> list[Architecture]:
    return list(dict.fromkeys(space.sample(25, seed=2)))


@pytest.fixture
def batch(digits: Dataset) -> tuple[Tensor, Tensor]:
    return next(iterate(digits.search, 64))


@pytest.mark.parametrize("bfloat16", [False, True], ids=["float32", "bfloat16"])
def test_it_equals_one_by_one_bit_for_bit(
    bfloat16: bool, archs: list[Architecture], net: Supernet, batch: tuple[Tensor, Tensor]
) -> None:
    net.eval()
    together = population_outcomes(net, PrefixTree(archs), [batch], scores=TASK.scores, bfloat16=bfloat16)
    for architecture in archs:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            logits = net(batch[0], architecture).float()
        outcome = together[architecture]
        assert isinstance(outcome, Outcome)
        loss = nn.functional.cross_entropy(logits, batch[1], reduction="none")
        assert np.array_equal(outcome.scores["loss"], loss.numpy())
        assert np.array_equal(outcome.scores["accuracy"], (logits.argmax(1) == batch[1]).numpy())


def test_each_distinct_prefix_is_computed_once(
    archs: list[Architecture], net: Supernet, batch: tuple[Tensor, Tensor]
) -> None:
    tree, calls = PrefixTree(archs), [0]
    for block in net.blocks:
        block.register_forward_hook(lambda *_: calls.__setitem__(0, calls[0] + 1))
    population_outcomes(net, tree, [batch], scores=TASK.scores)
    assert calls[0] == tree.blocks < tree.one_by_one


def test_one_activation_is_kept_for_each_level(
    archs: list[Architecture], net: Supernet, batch: tuple[Tensor, Tensor]
) -> None:
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()
    most = [0]

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        alive.add(output)
        most[0] = max(most[0], len(alive))

    for module in (net.patch_embed, *net.blocks):
        module.register_forward_hook(note)
    with torch.inference_mode():
        for _ in walk(net, batch[0], PrefixTree(archs)):
            pass
    assert most[0] <= net.architecture.depth + 1


def test_values_do_not_depend_on_how_a_population_was_cut(
    archs: list[Architecture], net: Supernet, digits: Dataset
) -> None:
    def figures(sizes: list[int]) -> dict[Architecture, tuple[float | None, dict[str, float]]]:
        fitness, left, found = InheritedFitness(net, digits.search, device="cpu"), list(archs), []
        for size in sizes:
            found += list(fitness.evaluate(left[:size]))
            left = left[size:]
        return {e.architecture: (e.value, dict(e.metrics)) for e in found}

    assert figures([25]) == figures([1] * 25) == figures([3, 20, 2])


def test_what_does_not_fit_fails_alone(archs: list[Architecture], net: Supernet, digits: Dataset) -> None:
    wide = uniform(128, 2, 4, 2)
    expected = {e.architecture: e.value for e in InheritedFitness(net, digits.search, device="cpu").evaluate(archs)}
    found = {e.architecture: e for e in InheritedFitness(net, digits.search, device="cpu").evaluate([wide, *archs])}
    assert found[wide].value is None
    assert "embed_dim is 128, but this network has 64" in (found[wide].error or "")
    assert {a: e.value for a, e in found.items() if a != wide} == expected


def test_a_block_that_raises_fails_only_those_that_run_it(
    archs: list[Architecture], net: Supernet, digits: Dataset
) -> None:
    deep = {a for a in archs if a.depth == 4}
    net.blocks[3].register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("a bad\nblock")))
    found = list(evaluate_each(InheritedFitness(net, digits.search, device="cpu"), archs))
    assert {e.architecture for e in found if e.value is None} == deep
    assert {e.error for e in found if e.value is None} == {"RuntimeError: a bad block"}


def test_a_loss_that_is_not_finite_is_a_failure(space: SearchSpace, net: Supernet, digits: Dataset) -> None:
    with torch.no_grad():
        net.get_parameter("blocks.3.mlp.fc2.bias")[0] = float("nan")
    found = list(InheritedFitness(net, digits.search, device="cpu").evaluate([space.smallest, space.largest]))
    assert [(e.value is None, e.error) for e in sorted(found, key=lambda e: e.architecture.depth)] == [
        (False, None),
        (True, "its loss on some images is not finite"),
    ]


def test_the_time_is_divided_and_the_work_counted(archs: list[Architecture], net: Supernet, digits: Dataset) -> None:
    fitness, tree = InheritedFitness(net, digits.search, device="cpu"), PrefixTree(archs)
    evaluations = list(fitness.evaluate(archs))
    assert all(e.seconds > 0 for e in evaluations)
    shares, total = tree.shares(), sum(e.seconds for e in evaluations)
    for evaluation in evaluations:
        expected = shares[evaluation.architecture] / sum(shares.values())
        assert evaluation.seconds / total == pytest.approx(expected)
    n = len(digits.search)
    assert fitness.work == {
        "blocks": tree.blocks * n,
        "one_by_one": tree.one_by_one * n,
        "images": len(archs) * n,
        "every_image": len(archs) * n,
    }


def test_images_that_are_not_in_memory_give_the_same(archs: list[Architecture], net: Supernet, digits: Dataset) -> None:
    class OneByOne(TensorDataset):
        """Hides its tensors."""

    split = OneByOne(digits.search.images, digits.search.labels)  # type: ignore[attr-defined]
    expected, found = (
        {e.architecture: e.metrics for e in InheritedFitness(net, each, device="cpu").evaluate(archs[:4])}
        for each in (digits.search, split)
    )
    assert found == expected
