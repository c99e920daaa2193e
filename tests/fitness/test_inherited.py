"""InheritedFitness: the accuracy that the extracted network has, computed once, whatever the batch size."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import TensorDataset

from nasformer.data import Dataset
from nasformer.data.dataset import Split
from nasformer.errors import FitnessError
from nasformer.fitness import InheritedFitness
from nasformer.searcher import Searcher
from nasformer.space import SearchSpace
from nasformer.supernet import Supernet


@contextmanager
def counted(module: nn.Module) -> Iterator[list[int]]:
    """List the batch size of every forward call."""
    calls: list[int] = []
    hook = module.register_forward_hook(lambda _, inputs, __: calls.append(len(inputs[0])))
    try:
        yield calls
    finally:
        hook.remove()


def by_hand(net: nn.Module, data: Dataset) -> tuple[float, float]:
    """Accuracy and loss of a network on the search split, image by image."""
    net.eval()
    correct, loss = 0, 0.0
    with torch.no_grad():
        for index in range(len(data.search)):
            image, label = data.search[index]
            logits = net(image[None]).double()
            correct += int(logits.argmax()) == label
            loss += float(F.cross_entropy(logits, torch.tensor([label])))
    return 100 * correct / len(data.search), loss / len(data.search)


def test_it_equals_the_accuracy_of_the_extracted_network(space: SearchSpace, net: Supernet, digits: Dataset) -> None:
    archs = [space.smallest, *space.sample(2, seed=4), space.largest]
    for evaluation in InheritedFitness(net, digits.search, device="cpu").evaluate(archs):
        accuracy, loss = by_hand(net.extract(evaluation.architecture), digits)
        assert evaluation.value == accuracy
        assert evaluation.metrics["loss"] == pytest.approx(loss, rel=1e-5)
        assert evaluation.seconds > 0


class Watched(TorchDataset[tuple[torch.Tensor, int]]):
    """Notes how many images a fitness says that it has shown, each time that it is asked for another."""

    def __init__(self, split: Split) -> None:
        self.split, self.work, self.noted = split, dict[str, int](), list[int]()

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        self.noted.append(self.work.get("images", 0))
        image, label = self.split[index]
        return image, label


def test_images_are_counted_while_they_are_shown(space: SearchSpace, net: Supernet, digits: Dataset) -> None:
    split = Watched(digits.search)
    fitness = InheritedFitness(net, split, device="cpu", batch_size=100)
    split.work = fitness.work
    list(fitness.evaluate([space.smallest, space.largest]))
    assert split.noted[0] == 0
    assert split.noted[200] in (200, 400), "the third batch is read while the second is shown"
    assert split.noted[300] in (400, 600)
    assert fitness.work["images"] == 2 * len(digits.search)


def test_an_architecture_is_computed_once(space: SearchSpace, net: Supernet, digits: Dataset) -> None:
    fitness = InheritedFitness(net, digits.search, device="cpu", batch_size=100)
    with counted(net.blocks[0]) as calls:
        first = list(fitness.evaluate([space.smallest, space.largest]))
        assert calls == [100] * 6 + [60] * 2
        again = list(fitness.evaluate([space.largest, space.smallest, space.largest]))
        assert len(calls) == 8
    assert again == [first[1], first[0], first[1]]


def test_the_batch_size_changes_nothing(space: SearchSpace, net: Supernet, digits: Dataset) -> None:
    archs = space.sample(2, seed=1)
    expected = [by_hand(net.extract(a), digits) for a in archs]
    results = []
    for batch_size in (1, 70, 360, None):
        evaluations = list(InheritedFitness(net, digits.search, device="cpu", batch_size=batch_size).evaluate(archs))
        results.append([e.value for e in evaluations])
        losses = [e.metrics["loss"] for e in evaluations]
        assert losses == pytest.approx([loss for _, loss in expected], rel=1e-5)
    assert results == [[accuracy for accuracy, _ in expected]] * 4


def test_a_network_in_training_is_judged_in_evaluation_mode_and_left_in_training(
    space: SearchSpace, net: Supernet, digits: Dataset
) -> None:
    net.set_drop_path(0.5)
    net.train()
    (evaluation,) = InheritedFitness(net, digits.search, device="cpu").evaluate([space.largest])
    assert net.training
    assert evaluation.value == by_hand(net.extract(space.largest), digits)[0]


def test_memory_that_runs_out_halves_the_batch(space: SearchSpace, net: Supernet, digits: Dataset) -> None:
    def short_of_memory(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if len(inputs[0]) > 50:
            raise torch.OutOfMemoryError("out of memory")

    expected = by_hand(net.extract(space.smallest), digits)[0]
    fitness = InheritedFitness(net, digits.search, device="cpu", batch_size=360)
    handle = net.blocks[1].register_forward_pre_hook(short_of_memory)
    (evaluation,) = fitness.evaluate([space.smallest])
    handle.remove()
    assert (fitness.batch_size, evaluation.value) == (45, expected)


@pytest.mark.parametrize("dimension", ["embed_dim", "depth", "num_heads", "mlp_ratio"])
def test_a_supernet_that_is_too_small_is_refused_naming_the_dimension(
    dimension: str, space: SearchSpace, digits: Dataset
) -> None:
    declared = space.to_dict()
    ((kind, values),) = declared[dimension].items()
    small = SearchSpace.from_dict({**declared, "name": "small", dimension: {kind: values[:-1]}, "supernet": {}})
    fitness = InheritedFitness(Supernet(small), digits.search, device="cpu")
    named = "MLP width" if dimension == "mlp_ratio" else dimension
    with pytest.raises(FitnessError, match=f"the supernet does not fit space 'digits': .*{named}"):
        Searcher(space, "random", fitness).run(evaluations=2, progress=False)
    assert len(Searcher(small, "random", fitness).run(evaluations=2, progress=False).trials) == 2


@pytest.mark.parametrize("change", [{"head_dim": 8}, {"max_distance": None}, {"patch_size": 4}, {"pooling": "cls"}])
def test_a_supernet_of_another_geometry_is_refused(
    change: dict[str, object], space: SearchSpace, net: Supernet, digits: Dataset
) -> None:
    """Costs would be those of one network, accuracies those of another."""
    other = SearchSpace.from_dict({**space.to_dict(), **change})
    with pytest.raises(FitnessError, match=next(iter(change))):
        Searcher(other, "random", InheritedFitness(net, digits.search, device="cpu")).run(evaluations=2, progress=False)


def test_an_empty_split_and_an_unknown_precision_are_refused(net: Supernet, digits: Dataset) -> None:
    empty = TensorDataset(torch.zeros(0, 1, 8, 8), torch.zeros(0, dtype=torch.long))
    with pytest.raises(FitnessError, match="the split to evaluate on is empty"):
        InheritedFitness(net, empty)
    with pytest.raises(FitnessError, match="dtype is 'auto', 'float32' or 'bfloat16', got 'float16'"):
        InheritedFitness(net, digits.search, dtype="float16")  # type: ignore[arg-type]


def test_its_record_tells_weights_apart(space: SearchSpace, net: Supernet, digits: Dataset) -> None:
    def described(net: Supernet) -> dict[str, object]:
        return InheritedFitness(net, digits.search, device="cpu", data=digits.record).describe()

    same, other = Supernet(space, seed=1), Supernet(space, seed=2)
    assert described(net) == described(same)
    assert described(net)["weights"] != described(other)["weights"]
    with torch.no_grad():
        same.head.bias[3] += 1e-3
    assert described(net)["weights"] != described(same)["weights"]
    assert described(net)["data"] == digits.record
