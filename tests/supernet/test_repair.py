"""Repair after cutting: the closed form, what it may not change, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nasformer.architecture import Architecture, uniform
from nasformer.cost import Series
from nasformer.errors import ArchitectureError, DataError
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.supernet import Supernet, VisionTransformer
from nasformer.supernet.layers import SlicedLinear
from nasformer.supernet.repair import RIDGES, _Moments, _update, repair
from nasformer.tasks import get_task

SIZES: dict[str, Any] = {
    "embed_dim": choice(24, 32),
    "depth": choice(2, 3),
    "num_heads": per_layer(0, 1, 2),
    "mlp_ratio": per_layer(0, 1, 2),
    "head_dim": 8,
    "num_classes": 5,
}
IMAGES: dict[str, Any] = {"image_size": 8, "patch_size": 2, "in_channels": 1, "max_distance": 2}


def space(**changed: Any) -> SearchSpace:
    return SearchSpace("small", **{**SIZES, **IMAGES, **changed})


def network(**changed: Any) -> Supernet:
    """A supernet with large random weights, so that every part of it matters."""
    net = Supernet(space(**changed), drop_path=0.0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            parameter.copy_(centre + 0.3 * torch.randn(parameter.shape, generator=generator))
    return net.eval()


def images(count: int = 60, seed: int = 1, size: int = 8) -> Tensor:
    return torch.randn(count, 1, size, size, generator=torch.Generator().manual_seed(seed))


def divergence(net: VisionTransformer, full: VisionTransformer, x: Tensor) -> float:
    with torch.no_grad():
        outputs, wanted = net(x).log_softmax(1), full(x).log_softmax(1)
    return float((wanted.exp() * (wanted - outputs)).sum(1).mean())


def same(one: VisionTransformer, other: VisionTransformer) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("ridge", RIDGES)
def test_the_solution_is_that_of_weighted_least_squares(ridge: float) -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(2, 20, 6, generator=generator).double() + 1
    r, weights = torch.randn(2, 20, 3, generator=generator).double(), torch.rand(20, generator=generator).double()
    moments = _Moments()
    for part in range(2):
        moments.add(z[part : part + 1], r[part : part + 1], weights)
    rows = torch.cat((z, torch.ones(2, 20, 1).double()), 2) * weights.sqrt()[:, None]
    size = ridge * rows[..., :6].pow(2).sum((0, 1)).mean()
    damped = torch.cat((rows.flatten(0, 1), torch.cat((size.sqrt() * torch.eye(6), torch.zeros(6, 1)), 1)))
    wanted = torch.cat(((r * weights.sqrt()[:, None]).flatten(0, 1), torch.zeros(6, 3)))
    solution = moments.solution(ridge)
    assert solution is not None
    torch.testing.assert_close(solution, torch.linalg.lstsq(damped, wanted).solution)


def test_without_a_full_rank_the_ridge_decides() -> None:
    moments = _Moments()
    moments.add(torch.ones(1, 2, 4), torch.ones(1, 2, 3), torch.ones(()))
    assert all((solution := moments.solution(ridge)) is None or solution.isfinite().all() for ridge in RIDGES)
    moments = _Moments()
    moments.add(torch.zeros(1, 2, 4), torch.ones(1, 2, 3), torch.ones(()))
    solution = moments.solution(0.1)
    assert solution is not None
    assert torch.equal(solution[:-1], torch.zeros(4, 3).double()), "inputs that are 0 get no weight"
    torch.testing.assert_close(solution[-1], torch.ones(3).double())


def test_an_mlp_is_fitted_to_what_the_full_network_adds() -> None:
    """Of one layer without attention, the repaired fc2 is the least-squares solution around the old one."""
    net = network(depth=choice(1)).double()
    cut, full = Architecture(32, (0,), (1.0,)), Architecture(32, (0,), (2.0,))
    net.architecture = full  # the attention is not what is asked for
    x = images().double()
    fitted = x[torch.arange(60) % 5 != 0]
    found = repair(net, cut, x)
    assert found.kept
    before, seen = net.extract(cut), list[Tensor]()
    block: Any = before.blocks[0]
    block.mlp.fc2.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    streams = list[Tensor]()
    with torch.no_grad():
        for each, architecture in ((before, cut), (net, full)):
            each.norm.register_forward_pre_hook(lambda _, inputs: streams.append(inputs[0]))
            each(fitted, architecture)
    z, r = seen[0].flatten(0, 1), (streams[1] - streams[0]).flatten(0, 1)
    z = torch.cat((z, torch.ones(len(z), 1)), 1)
    after: Any = found.net.blocks[0]
    pairs = [(after.mlp.fc2.weight, block.mlp.fc2.weight), (after.mlp.fc2.bias[:, None], block.mlp.fc2.bias[:, None])]
    change = torch.cat([(new - old).detach() for new, old in pairs], 1)
    eye = torch.diag(torch.tensor([1.0] * 32 + [0.0])).double()
    gram = z.T @ z
    size = gram.diagonal()[:-1].mean()
    solutions = [torch.linalg.solve(gram + ridge * size * eye, z.T @ r) for ridge in RIDGES]
    assert min(float((change.T - each).abs().max()) for each in solutions) < 1e-6


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_it_is_never_worse_on_held_out_images(data: st.DataObject) -> None:
    depth = data.draw(st.integers(2, 3))
    rows = st.lists(st.integers(0, 2), min_size=depth, max_size=depth)
    architecture = Architecture(data.draw(st.sampled_from((24, 32))), data.draw(rows), data.draw(rows))
    net = network(pooling=data.draw(st.sampled_from(("mean", "cls"))))
    x, held_out = images(data.draw(st.integers(10, 80))), images(20, seed=2)
    found = repair(net, architecture, x, held_out=held_out)
    before, after = (divergence(each, net, held_out) for each in (net.extract(architecture), found.net))
    assert after <= before
    assert found.before == pytest.approx(before, rel=1e-3, abs=1e-6)
    assert (found.after if found.kept else found.before) == pytest.approx(after, rel=1e-3, abs=1e-6)
    assert found.kept or same(found.net, net.extract(architecture))
    assert found.net.architecture == architecture


def test_much_of_what_was_lost_comes_back() -> None:
    net = network(pooling="cls")
    for architecture in (uniform(32, 3, 1, 1), uniform(24, 3, 2, 1), Architecture(32, (2, 0, 1), (0, 2, 1))):
        found = repair(net, architecture, images(600))
        assert found.after < 0.5 * found.before, architecture
        fresh = images(200, seed=3)
        assert divergence(found.net, net, fresh) < 0.6 * divergence(net.extract(architecture), net, fresh)


def test_the_full_network_stays_as_it_is() -> None:
    net = network()
    found = repair(net, net.architecture, images())
    assert not found.kept
    assert (found.before, found.after) == (0, 0)
    assert same(found.net, net.extract(net.architecture))
    assert str(found).startswith("left as cut: a repair on 48 images in ")


def test_it_is_reproducible_and_changes_nothing_else() -> None:
    net, architecture = network().train(), uniform(24, 2, 1, 1)
    kept, x = {name: tensor.clone() for name, tensor in net.state_dict().items()}, images()
    one, two = (repair(net, architecture, x) for _ in range(2))
    assert same(one.net, two.net)
    assert same(net.extract(architecture, repair=x), one.net)
    assert (one.before, one.after) == (two.before, two.after)
    assert net.training
    assert one.net.training
    assert all(torch.equal(kept[name], tensor) for name, tensor in net.state_dict().items())
    assert not any(module._forward_pre_hooks for each in (net, one.net) for module in each.modules())
    assert one.to_dict().keys() == {"kept", "before", "after", "images", "held_out", "seconds"}


def test_several_patch_and_image_sizes() -> None:
    net = network(patch_size=choice(2, 4), image_size=choice(8, 12))
    for sizes in ({"patch_size": 2, "image_size": 8}, {"patch_size": 4, "image_size": 12}):
        found = repair(net, uniform(24, 3, 1, 1).replace(**sizes), images(size=10))
        assert found.kept, sizes
        assert found.net(images(size=10)).shape == (60, 5)


@pytest.mark.parametrize("pooling", ["mean", "flatten"])
def test_series(pooling: str) -> None:
    sizes = {name: value for name, value in SIZES.items() if name != "num_classes"}
    series = Series(length=24, patch=4, stride=4, horizon=6, channels=1)
    net = Supernet(SearchSpace("series", **sizes, series=series, pooling=pooling), drop_path=0.0)
    x = torch.randn(60, 1, 24, generator=torch.Generator().manual_seed(0)).cumsum(2)
    found = repair(net, uniform(24, 2, 1, 1), x, task=get_task("forecasting")(6))
    assert found.after < found.before
    assert found.net(x).shape == (60, 6)


def test_what_cannot_be_repaired_is_refused() -> None:
    net, smaller = network(), uniform(24, 2, 1, 1)
    with pytest.raises(DataError, match="repair needs at least 10 images, got 9; give more"):
        repair(net, smaller, images(9))
    with pytest.raises(DataError, match="repair needs at least 10 images, got 0"):
        repair(net, smaller, images(), held_out=images(0))
    with pytest.raises(DataError, match=r"images must be \(batch, 1, 8, 8\), got \(20, 1, 4, 4\)"):
        repair(net, smaller, images(20, size=4))
    with pytest.raises(DataError, match="finite floating-point numbers, got NaN or infinite values"):
        repair(net, smaller, images() / 0)
    with pytest.raises(DataError, match=r"finite floating-point numbers, got torch\.uint8"):
        repair(net, smaller, images().to(torch.uint8))
    with pytest.raises(ArchitectureError, match="embed_dim is 64, but this network has 32"):
        repair(net, uniform(64, 2, 1, 1), images())
    with pytest.raises(ArchitectureError, match="classical sharing has no full network"):
        repair(Supernet(space(), weight_sharing="classical"), smaller, images())


def test_a_layer_that_no_ridge_fits_is_left() -> None:
    linear, bad = SlicedLinear(2, 2), _Moments()
    bad.add(torch.full((1, 2, 2), float("nan")), torch.ones(1, 2, 2), torch.ones(()))
    with torch.no_grad():
        _update(linear, bad, bad)
    assert torch.equal(linear.weight, torch.zeros(2, 2))
