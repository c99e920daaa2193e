"""Classical sharing: each choice has weights of its own, and all else is as with entangled ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nasformer.architecture import Architecture, uniform
from nasformer.data import load_dataset
from nasformer.errors import ArchitectureError, CheckpointError
from nasformer.fitness import InheritedFitness
from nasformer.space import SearchSpace, load_space
from nasformer.supernet import Supernet, to_autoformer
from nasformer.training import Recipe, evaluate, train_supernet


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return load_space("digits")


@pytest.fixture(scope="module")
def net(space: SearchSpace) -> Supernet:
    return Supernet(space, weight_sharing="classical", seed=3)


def used_by(net: Supernet, architecture: Architecture) -> set[str]:
    """Names of the parameters that the logits of ``architecture`` depend on."""
    net.zero_grad(set_to_none=True)
    net(torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), architecture).square().sum().backward()
    return {name for name, parameter in net.named_parameters() if parameter.grad is not None}


def test_a_gradient_reaches_the_subnets_own_weights_and_no_other(net: Supernet, space: SearchSpace) -> None:
    for architecture in (space.smallest, space.largest, *space.sample(4, seed=1)):
        touched = used_by(net, architecture)
        assert touched == set(net.active_shapes(architecture))
        own = dict(net.named_parameters())
        shapes = net.active_shapes(architecture)
        assert all(tuple(own[name].shape) == shapes[name] for name in touched), "whole parameters, no slices"


def test_choices_that_differ_everywhere_share_nothing(net: Supernet) -> None:
    first, second = used_by(net, uniform(32, 2, 2, 1)), used_by(net, uniform(48, 2, 3, 2))
    assert not first & second
    same_width = used_by(net, uniform(32, 2, 3, 1))
    apart = first ^ same_width
    assert apart
    assert all(".attn." in name for name in apart)


def test_a_step_leaves_other_choices_where_they_are(space: SearchSpace) -> None:
    net, before = (Supernet(space, weight_sharing="classical", seed=3) for _ in range(2))
    recipe = Recipe.for_dataset("digits").replace(epochs=1, batch_size=1000, unused_slices="freeze", drop_path=0)
    recipe = recipe.replace(budget={"params": space.params(space.smallest)})
    train_supernet(net, load_dataset("digits"), recipe, device="cpu", progress=False)
    moved = {n for (n, p), q in zip(net.named_parameters(), before.parameters(), strict=True) if not torch.equal(p, q)}
    assert moved == set(net.active_shapes(space.smallest))


def test_extracted_and_loaded_networks_give_the_same_logits(net: Supernet, space: SearchSpace, tmp_path: Path) -> None:
    images = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    loaded = Supernet.load(net.save(tmp_path / "net.safetensors"), space)
    assert loaded.sharing.name == "classical"
    for architecture in space.sample(5, seed=2):
        expected = net.eval()(images, architecture)
        torch.testing.assert_close(net.extract(architecture)(images), expected)
        assert torch.equal(loaded(images, architecture), expected)


def test_the_walk_of_a_population_gives_the_scores_of_one_by_one(net: Supernet, space: SearchSpace) -> None:
    split = load_dataset("digits").search
    architectures = space.sample(6, seed=5)
    for found in InheritedFitness(net, split, device="cpu").evaluate(architectures):
        score = evaluate(net, split, found.architecture)
        assert found.value == pytest.approx(score.accuracy)
        assert found.metrics["loss"] == pytest.approx(score.loss)


def test_what_has_no_weights_is_named(net: Supernet) -> None:
    images = torch.zeros(1, 1, 8, 8)
    with pytest.raises(ArchitectureError, match=r"embed_dim is 40, of which classical.*choices: 32, 48, 64"):
        net(images, uniform(40, 2, 2, 1))
    with pytest.raises(ArchitectureError, match=r"MLP width at embed_dim 48 is 72.*48, 96, 144"):
        net(images, uniform(48, 2, 2, 1.5))
    with pytest.raises(CheckpointError, match="holds entangled weights, not classical"):
        to_autoformer(net)
    with pytest.raises(ArchitectureError, match="weight_sharing must be 'entangled' or 'classical', got 'shared'"):
        Supernet(load_space("digits"), weight_sharing="shared")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"num_classes": 10**9}, r"the supernet of space 'digits' needs 242\.1 GiB for its weights"),
        ({"max_distance": 2**31}, r"the supernet of space 'digits' needs [\d.]+ GiB"),
        ({"image_size": 224}, "relative positions of 12,544 patches take tables of 1,258,915,840 entries"),
    ],
)
def test_a_space_of_huge_networks_is_refused_before_they_are_made(sizes: dict[str, int], words: str) -> None:
    space = SearchSpace.from_dict({**load_space("digits").to_dict(), **sizes})
    with pytest.raises(ArchitectureError, match=words):
        Supernet(space)


def test_weights_that_do_not_fit_into_memory_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    from nasformer.supernet import supernet

    space = load_space("digits")
    monkeypatch.setattr(supernet, "physical_memory", lambda: 2**20)
    with pytest.raises(ArchitectureError, match=r"of space 'digits' needs 0\.0 GiB .* this machine has 0\.0 GiB"):
        Supernet(space, weight_sharing="classical")
    monkeypatch.setattr(supernet, "physical_memory", lambda: None)
    Supernet(space, weight_sharing="classical")
