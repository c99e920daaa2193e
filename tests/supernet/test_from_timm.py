"""A timm model as a supernet: its largest member is the model, and smaller ones keep what matters."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.layers.mlp import ConvMlp, GluMlp, Mlp, SwiGLU
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import ParallelScalingBlock, ParallelThingsBlock
from timm.models.vision_transformer import VisionTransformer as TimmViT
from torch import Tensor, nn
from torch.nn import functional as F

from nasformer.data import load_dataset
from nasformer.data.memory import ImagesInMemory
from nasformer.errors import ArchitectureError, CheckpointError, DataError
from nasformer.export.timm import to_timm
from nasformer.space import SearchSpace, choice, per_layer
from nasformer.supernet import Supernet, adapted, load_network, to_autoformer
from nasformer.supernet.from_timm import read_timm
from nasformer.supernet.importance import gradient_importance, weight_importance
from nasformer.training import Recipe, evaluate, train_subnet, train_supernet

SIZES: dict[str, Any] = {"img_size": 8, "patch_size": 2, "in_chans": 1, "num_classes": 10}
SHAPE: dict[str, Any] = {"embed_dim": 48, "depth": 2, "num_heads": 4, "mlp_ratio": 2.0}


def vit(seed: int = 0, **options: Any) -> Any:
    """Return a model of which every parameter is random, so that none can be forgotten."""
    torch.manual_seed(seed)
    model = TimmViT(**{**SIZES, **SHAPE, **options}).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.normal_(1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.3)
    return model


def images(count: int = 6) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def batches() -> list[tuple[Tensor, Tensor]]:
    return [(images(6), torch.arange(6)), (images(4), torch.arange(4))]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"qkv_bias": False},
        {"proj_bias": False},
        {"init_values": 0.1},
        {"no_embed_class": True},
        {"global_pool": "avg", "fc_norm": False},
        {"global_pool": "token", "norm_layer": "layernorm"},
        {"mlp_ratio": 1.3},
        {"dynamic_img_size": True},
        {"global_pool": "avg"},
        {"global_pool": "avg", "class_token": False},
        {"global_pool": "map", "class_token": False, "reg_tokens": 2},
        {"reg_tokens": 2},
        {"reg_tokens": 3, "no_embed_class": True},
        {"pre_norm": True},
        {"embed_norm_layer": "layernorm"},
        {"final_norm": False},
        {"qk_norm": True},
        {"scale_attn_norm": True, "scale_mlp_norm": True},
        {"act_layer": "gelu_tanh"},
        {"act_layer": "quick_gelu"},
        {"mlp_layer": GluMlp, "act_layer": "silu"},
        {"mlp_layer": partial(GluMlp, gate_last=False), "act_layer": "silu"},
        {"mlp_layer": SwiGLU, "act_layer": "silu", "norm_layer": "rmsnorm", "embed_norm_layer": "rmsnorm"},
    ],
    ids=str,
)
@pytest.mark.parametrize("measured", [False, True], ids=["weights", "images"])
def test_the_largest_member_is_the_model(options: dict[str, Any], measured: bool) -> None:
    model = vit(**options)
    net = Supernet.from_timm(model, batches=batches() if measured else None)
    assert not net.training
    assert net.architecture == net.space.largest
    assert net.geometry.max_distance is None
    torch.testing.assert_close(net(images()), model(images()), rtol=1e-4, atol=1e-4)


def test_it_is_exact_in_double_precision() -> None:
    model = vit().double()
    net = Supernet.from_timm(model).double()
    x = images().double()
    torch.testing.assert_close(net(x), vit().double()(x), rtol=1e-12, atol=1e-12)


def test_parameters_are_counted_as_the_model_has_them() -> None:
    net = Supernet.from_timm(vit())
    assert net.space.params(net.space.largest) == sum(parameter.numel() for parameter in vit().parameters())
    smaller = net.extract(net.space.smallest)
    assert net.space.params(net.space.smallest) == sum(parameter.numel() for parameter in smaller.parameters())


def test_the_model_is_left_as_it_is() -> None:
    model = vit().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    Supernet.from_timm(model, batches=batches())
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(parameter.grad is not None for parameter in model.parameters())
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())


def test_heads_and_units_come_by_falling_importance() -> None:
    model = vit()
    net = Supernet.from_timm(model, batches=batches())
    importance = gradient_importance(read_timm(model).network(), batches())
    blocks: Any = net.blocks
    for layer, block in enumerate(blocks):
        units = importance.units[layer].argsort(descending=True)
        channels = importance.channels.argsort(descending=True)
        expected = model.blocks[layer].mlp.fc1.weight[units][:, channels]
        assert torch.equal(block.mlp.fc1.weight, expected)


def test_a_gate_measures_what_taking_out_does() -> None:
    """To first order: shrink a head by a little, and the loss changes by its derivative."""
    model, (x, labels) = vit().double(), (images(1).double(), torch.tensor([3]))
    importance = gradient_importance(read_timm(model).network().double(), [(x, labels)])
    step = 1e-6
    for layer, head in ((0, 1), (1, 3)):
        shrunk = vit().double()
        with torch.no_grad():
            shrunk.blocks[layer].attn.proj.weight[:, 12 * head : 12 * (head + 1)] *= 1 - step
        change = F.cross_entropy(shrunk(x), labels) - F.cross_entropy(model(x), labels)
        assert abs(float(change.detach())) / step == pytest.approx(float(importance.heads[layer][head]), rel=1e-3)


def test_importance_adds_up_over_images() -> None:
    net = read_timm(vit()).network()
    whole = gradient_importance(net, [(images(6), torch.arange(6))])
    parts = [(images(6)[i : i + 2], torch.arange(6)[i : i + 2]) for i in (0, 2, 4)]
    torch.testing.assert_close(gradient_importance(net, parts).channels, whole.channels, rtol=1e-3, atol=1e-4)


def test_a_head_that_writes_nothing_comes_last() -> None:
    model = vit()
    with torch.no_grad():
        model.blocks[0].attn.proj.weight[:, 12:24] = 0
        model.blocks[1].mlp.fc2.weight[:, 7] = 0
    net = read_timm(model).network()
    for found in (weight_importance(net), gradient_importance(net, batches())):
        assert int(found.heads[0].argmin()) == 1
        assert int(found.units[1].argmin()) == 7


def test_smaller_members_of_a_trained_model_keep_what_matters() -> None:
    data = load_dataset("digits")
    sizes: dict[str, Any] = {"depth": 2, "embed_dim": 32, "num_heads": 4, "mlp_ratio": 2.0}
    torch.manual_seed(0)
    model = TimmViT(**SIZES, **sizes)
    recipe = Recipe.for_dataset("digits").replace(epochs=25)
    train_subnet(model, data, recipe, device="cpu", progress=False)
    assert isinstance(data.train, ImagesInMemory)
    some = [(data.train.images[:256], data.train.labels[:256])]
    space = SearchSpace(
        "family", embed_dim=choice(32), depth=choice(2), num_heads=per_layer(2, 4), mlp_ratio=per_layer(0.5, 1, 2),
        head_dim=8, image_size=8, patch_size=2, in_channels=1, num_classes=10, pooling="cls", max_distance=None,
    )  # fmt: skip
    sorted_net = Supernet.from_timm(model, space, batches=some)
    plain = Supernet(space, qkv_bias="interleaved", seed=None)
    plain.load_state_dict(read_timm(model).weights)
    plain.set_norm_eps(1e-6)
    assert evaluate(sorted_net, data.test) == pytest.approx(evaluate(plain.eval(), data.test), abs=1e-3)
    small = [a for a in space.sample(12, seed=0) if a != space.largest]
    losses = [sum(evaluate(net, data.search, a).loss for a in small) for net in (sorted_net, plain)]
    assert losses[0] < losses[1], "before any training of the smaller ones"
    short = Recipe.for_dataset("digits").replace(
        epochs=4, warmup_epochs=1, learning_rate=1e-3, sampling="sandwich", sandwich_random=1
    )
    before = evaluate(sorted_net, data.test, space.smallest).accuracy
    train_supernet(sorted_net, data, short, device="cpu", progress=False)
    assert evaluate(sorted_net, data.test, space.smallest).accuracy > before + 5


def test_round_trips_keep_the_norms(tmp_path: Path) -> None:
    net = Supernet.from_timm(vit())
    assert net.norm_eps == 1e-6
    loaded = Supernet.load(net.save(tmp_path / "supernet.safetensors"))
    subnet = net.extract(net.space.smallest)
    kept = load_network(subnet.save(tmp_path / "network.safetensors"))
    resized = adapted(subnet, num_classes=3)
    assert {loaded.norm_eps, subnet.norm_eps, kept.norm_eps, resized.norm_eps} == {1e-6}
    assert torch.equal(loaded(images()), net(images()))
    assert torch.equal(kept(images()), net(images(), net.space.smallest))
    assert torch.equal(to_timm(kept)(images()), kept(images()))
    known = {"format": "timm", "importance": "sum of absolute weights", "preprocessing": {}}
    assert loaded.metadata["imported"] == known
    with pytest.raises(CheckpointError, match="this network's 1e-06"):
        to_autoformer(net)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"global_pool": "max"}, "global_pool 'max'"),
        ({"global_pool": "avg", "pool_include_prefix": True}, "pool_include_prefix"),
        ({"scale_mlp_norm": True}, "norms of attention without those of the MLP"),
        ({"norm_layer": "batchnorm1d"}, "norms of"),
        ({"attn_layer": "diff"}, "attention of class DiffAttention"),
        ({"act_layer": nn.ReLU}, "the activation ReLU"),
        ({"mlp_layer": ConvMlp}, "MLPs of class ConvMlp"),
        ({"pos_embed": "none"}, "no position embedding"),
        ({"img_size": (8, 16)}, "images that are not square"),
    ],
    ids=str,
)
def test_what_a_supernet_cannot_hold_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArchitectureError, match=message):
        Supernet.from_timm(vit(**options))


def test_blocks_of_unequal_parts_are_refused() -> None:
    model = vit()
    model.blocks[1].mlp = Mlp(SHAPE["embed_dim"], 8)
    with pytest.raises(ArchitectureError, match="blocks of unequal parts"):
        Supernet.from_timm(model)


def test_what_a_layer_scale_leaves_out_counts_for_nothing() -> None:
    model = vit(init_values=0.5)
    with torch.no_grad():
        for scale in (model.blocks[0].ls1, model.blocks[0].ls2):
            scale.gamma[0] = 0
        before = weight_importance(read_timm(model).network())
        model.blocks[0].attn.proj.weight[0] = 100
        model.blocks[0].mlp.fc2.weight[0] = 100
    after = weight_importance(read_timm(model).network())
    torch.testing.assert_close(after.heads, before.heads)
    torch.testing.assert_close(after.units, before.units)


def test_other_models_are_refused_by_name() -> None:
    with pytest.raises(ArchitectureError, match="VisionTransformerDistilled is not a timm"):
        Supernet.from_timm(VisionTransformerDistilled(**SIZES, **SHAPE))  # type: ignore[no-untyped-call]


def test_a_space_that_is_not_the_models() -> None:
    space = SearchSpace(
        "other", embed_dim=choice(32, 48), depth=choice(2), num_heads=per_layer(2, 3), mlp_ratio=per_layer(1, 2),
        head_dim=12, image_size=8, patch_size=2, in_channels=1, num_classes=10, pooling="cls", max_distance=None,
    )  # fmt: skip
    with pytest.raises(ArchitectureError, match=r"num_heads is 4, but that of the largest .* 'other' is 3"):
        Supernet.from_timm(vit(), space)


def test_importance_of_no_image() -> None:
    with pytest.raises(DataError, match="at least one batch"):
        Supernet.from_timm(vit(), batches=[])


@pytest.mark.parametrize("block", [ParallelScalingBlock, ParallelThingsBlock])
def test_parallel_blocks_are_refused_by_name(block: Any) -> None:
    with pytest.raises(ArchitectureError, match=f"blocks of class {block.__name__}, which supernets do not support"):
        Supernet.from_timm(vit(block_fn=block))


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ((images() * float("nan"), torch.arange(6)), "finite floating-point numbers, got NaN or infinite values"),
        ((images().long(), torch.arange(6)), "finite floating-point numbers, got torch.int64"),
        ((images(), torch.tensor([0, 1, 2, 3, 4, 10])), r"classes from 0 to 9, got \[0, 1, 2, 3, 4, 10\]"),
        ((images(), torch.tensor([0, 1, 2, 3, 4, -1])), "classes from 0 to 9"),
        ((images(), torch.zeros(6)), "classes from 0 to 9"),
        ((images(), torch.arange(5)), r"got \(6, 1, 8, 8\) and \(5,\)"),
        ((torch.zeros(6, 1, 12, 12), torch.arange(6)), r"images \(batch, 1, 8, 8\) .* got \(6, 1, 12, 12\)"),
        (images(), "pairs .images, labels. of tensors, got Tensor"),
        ((images(), [0, 1]), "pairs .images, labels. of tensors, got tuple"),
    ],
)
def test_batches_that_the_model_cannot_take_are_refused(batch: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        Supernet.from_timm(vit(), batches=[batch])


def test_a_model_without_a_head_gives_its_features() -> None:
    model = vit(num_classes=0)
    net = Supernet.from_timm(model)
    torch.testing.assert_close(net(images()), model(images()), rtol=1e-4, atol=1e-4)
    headed = Supernet.from_timm(model, num_classes=3)
    assert headed(images()).shape == (6, 3)
    assert headed.metadata["imported"]["new_head"]
    assert torch.equal(Supernet.from_timm(model, num_classes=3).head.weight, headed.head.weight), "seeded"


def test_other_classes_get_a_new_head_and_the_same_keep_it() -> None:
    assert "new_head" not in Supernet.from_timm(vit(), num_classes=10).metadata["imported"]
    net = Supernet.from_timm(vit(), num_classes=4, batches=[(images(4), torch.arange(4))])
    assert (net.space.geometry.num_classes, net.metadata["imported"]["new_head"]) == (4, True)


def test_the_space_around_a_model() -> None:
    net = Supernet.from_timm(vit(img_size=32, patch_size=4, num_heads=6, mlp_ratio=4.0))
    space = net.space
    assert list(space.embed_dim) == [32, 40, 48]  # multiples of 8
    assert list(space.depth) == [2]
    assert list(space.num_heads) == [0, 2, 3, 5, 6]
    assert list(space.mlp_ratio) == [0, 1, 1.5, 2, 2.5, 3, 3.5, 4]
    assert space.codec.values["image_size"] == (24, 32)
    skipped = space.largest.replace(num_heads=(0, 6), mlp_ratio=(4.0, 0.0))
    x = torch.randn(2, 1, 32, 32)
    torch.testing.assert_close(net.extract(skipped)(x), net(x, skipped))


def test_a_space_with_several_patch_sizes_is_refused() -> None:
    space = SearchSpace(
        "patches", embed_dim=48, depth=2, num_heads=per_layer(2, 4), mlp_ratio=2, head_dim=12, image_size=8,
        patch_size=choice(2, 4), in_channels=1, num_classes=10, pooling="cls", max_distance=None,
    )  # fmt: skip
    with pytest.raises(ArchitectureError, match=r"number of patch sizes is 1, .* 'patches' is 2"):
        Supernet.from_timm(vit(), space)


def test_names_and_preprocessing_come_from_the_configuration() -> None:
    model = vit()
    names = [f"c{number}" for number in range(10)]
    model.pretrained_cfg = {"architecture": "vit_mine", "mean": (0.5,), "std": (0.2,), "crop_pct": 0.9}
    model.pretrained_cfg |= {"interpolation": "bilinear", "label_names": names}
    imported = Supernet.from_timm(model).metadata["imported"]
    assert (imported["name"], imported["classes"]) == ("vit_mine", names)
    steps = {"mean": [0.5], "std": [0.2], "crop_pct": 0.9, "interpolation": "bilinear"}
    assert imported["preprocessing"] == steps
    assert "classes" not in Supernet.from_timm(model, num_classes=3).metadata["imported"]
