"""What a training step keeps for its backward pass, and checkpointing: the same gradients with less."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from nasformer.architecture import Architecture, uniform
from nasformer.cost.geometry import Geometry
from nasformer.data import load_dataset
from nasformer.errors import RecipeError
from nasformer.space import load_space
from nasformer.supernet import Supernet, VisionTransformer
from nasformer.training import Recipe, train_supernet
from nasformer.training.subnet import train_subnet

GEOMETRY = Geometry(image_size=56, patch_size=4, in_channels=1, num_classes=3, head_dim=16, max_distance=14)


def kept(net: nn.Module, images: Tensor) -> int:
    """Bytes that a forward pass saves, each storage once, without parameters, buffers and the images."""
    known = {tensor.untyped_storage().data_ptr() for tensor in [*net.parameters(), *net.buffers(), images]}
    storages: dict[int, int] = {}
    alive: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        alive.append(tensor)
        if tensor.untyped_storage().data_ptr() not in known:
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        net(images).sum()
    return sum(storages.values())


def test_attention_keeps_its_wide_operands_and_no_other_product() -> None:
    batch, heads, hidden = 2, 3, 64
    images = torch.zeros(batch, 1, 56, 56)
    one, two = (kept(VisionTransformer(GEOMETRY, uniform(32, depth, heads, 2)), images) for depth in (1, 2))
    wide = 16 + 32  # head_dim and a one-hot row and column, padded to a multiple of 8
    features = 2 * 32 + 2 * 32 + 2 * hidden + 4 * heads * wide + heads * 16  # norms, MLP, q, k, v, out, projected
    per_layer = 4 * batch * GEOMETRY.tokens * features
    assert two - one == pytest.approx(per_layer, rel=0.05)


def test_checkpointing_keeps_one_input_a_layer_and_gives_the_same_gradients() -> None:
    net = VisionTransformer(GEOMETRY, uniform(32, 3, 3, 2), drop_path=0.5)
    images = torch.randn(8, 1, 56, 56, generator=torch.Generator().manual_seed(0))
    gradients, bytes_kept = [], []
    for enable in (False, True):
        net.set_grad_checkpointing(enable)
        bytes_kept.append(kept(net, images))
        net.zero_grad()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)  # the same samples skip the same branches
            net(images, Architecture(24, (2, 3), (1, 2))).square().sum().backward()
        gradients.append([None if p.grad is None else p.grad.clone() for p in net.parameters()])
    assert bytes_kept[1] < 0.3 * bytes_kept[0]
    for whole, again in zip(*gradients, strict=True):
        assert (whole is None) == (again is None)
        assert whole is None or torch.equal(whole, again)


def test_a_recipe_turns_it_on_and_the_weights_come_out_the_same() -> None:
    data, space = load_dataset("digits"), load_space("digits")
    recipe = Recipe.for_dataset("digits").replace(epochs=1, warmup_epochs=0, drop_path=0.2)
    nets = [Supernet(space), Supernet(space)]
    for net, checkpointing in zip(nets, (False, True), strict=True):
        train_supernet(net, data, recipe.replace(grad_checkpointing=checkpointing), device="cpu", progress=False)
        assert net.grad_checkpointing is checkpointing
    assert all(torch.equal(a, b) for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True))


def test_a_network_that_cannot_is_refused() -> None:
    recipe = Recipe.for_dataset("digits").replace(epochs=1, warmup_epochs=0, grad_checkpointing=True)
    with pytest.raises(RecipeError, match="Linear does not support grad_checkpointing; turn it off"):
        train_subnet(nn.Linear(2, 2), load_dataset("digits"), recipe, device="cpu", progress=False)
