"""The interface that timm's tools use: heads, intermediate features, groups of parameters, training."""

from __future__ import annotations

import copy
import io
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models import group_parameters
from torch import Tensor, nn

from nasformer.architecture import Architecture
from nasformer.errors import ArchitectureError, CheckpointError, DataError
from nasformer.export.timm import TimmVisionTransformer
from nasformer.supernet import load_network
from tests.export.conftest import GEOMETRY

create_optimizer_v2 = import_module("timm.optim").create_optimizer_v2  # these have no types that mypy could use
loss, ModelEmaV3 = import_module("timm.loss"), import_module("timm.utils").ModelEmaV3


def test_forward_is_features_and_head(small: TimmVisionTransformer, images: Tensor) -> None:
    tokens = small.forward_features(images)
    assert tokens.shape == (2, 17, small.num_features)
    pooled = small.forward_head(tokens, pre_logits=True)
    assert pooled.shape == (2, small.head_hidden_size)
    assert torch.equal(small(images), small.forward_head(tokens))
    assert torch.equal(pooled, tokens[:, 1:].mean(dim=1))
    assert torch.equal(small.pool(tokens, "token"), tokens[:, 0])
    assert torch.equal(small.pool(tokens, ""), tokens)


def test_a_new_head_and_none(small: TimmVisionTransformer, images: Tensor) -> None:
    small.reset_classifier(7)
    head = small.get_classifier()
    assert isinstance(head, nn.Linear)
    assert (head.in_features, head.out_features, small.num_classes) == (24, 7, 7)
    assert head.weight.std() > 0
    assert small(images).shape == (2, 7)
    small.reset_classifier(0, "token")
    assert torch.equal(small(images), small.forward_features(images)[:, 0])
    small.reset_classifier(0, "")
    assert torch.equal(small(images), small.forward_features(images))
    small.double().reset_classifier(3, "avg")
    assert small(images.double()).dtype == torch.double
    with pytest.raises(ArchitectureError, match=r"num_classes must be at least 0 \(no head\), got -1"):
        small.reset_classifier(-1)
    with pytest.raises(ArchitectureError, match=r"global_pool must be .*, got 'map'"):
        small.reset_classifier(3, "map")


def test_intermediates_in_all_shapes(small: TimmVisionTransformer, images: Tensor) -> None:
    final, maps = small.forward_intermediates(images)
    assert torch.equal(final, small.forward_features(images))
    assert [tuple(features.shape) for features in maps] == [(2, 24, 4, 4)] * 3
    sequences = small.forward_intermediates(images, 3, output_fmt="NLC", norm=True, intermediates_only=True)
    assert torch.equal(sequences[-1], final[:, 1:])
    assert torch.equal(maps[0].flatten(2).transpose(1, 2), small.forward_intermediates(images, output_fmt="NLC")[1][0])
    [(features, prefix)] = small.forward_intermediates(
        images, [-1], return_prefix_tokens=True, norm=True, intermediates_only=True
    )
    assert features.shape == (2, 24, 4, 4)
    assert torch.equal(prefix, final[:, :1])
    named = small.forward_intermediates(images, (1,), output_dict=True, return_prefix_tokens=True)
    assert set(named) == {"image_intermediates", "image_intermediates_prefix", "image_features"}
    assert set(small.forward_intermediates(images, output_dict=True, intermediates_only=True)) == {
        "image_intermediates"
    }


def test_stopping_early_runs_no_further_block(small: TimmVisionTransformer, images: Tensor) -> None:
    final, [features] = small.forward_intermediates(images, (1,), stop_early=True)
    cut = small.extract(Architecture(24, (3, 2), (2, 1)))
    assert torch.equal(final, cut.forward_features(images))
    assert torch.equal(features, small.forward_intermediates(images, (1,), intermediates_only=True)[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"indices": (3,)}, "block 3 was asked for, the network has 3: 0 to 2"),
        ({"indices": [-4]}, "block -4 was asked for"),
        ({"indices": 4}, "the last 4 blocks were asked for, the network has 3"),
        ({"indices": 0}, "the last 0 blocks were asked for"),
        ({"indices": ()}, "no block was asked for; name some of 0 to 2"),
        ({"output_fmt": "NHWC"}, "output_fmt must be 'NCHW' or 'NLC', got 'NHWC'"),
    ],
)
def test_what_is_no_block_is_refused(
    small: TimmVisionTransformer, images: Tensor, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ArchitectureError, match=words):
        small.forward_intermediates(images, **options)


def test_other_image_sizes_are_refused(small: TimmVisionTransformer) -> None:
    for run in (small, small.forward_intermediates):
        with pytest.raises(DataError, match=r"images must be \(batch, 3, 16, 16\), got \(2, 3, 20, 16\)"):
            run(torch.zeros(2, 3, 20, 16))


def test_pruning_leaves_what_the_features_need(small: TimmVisionTransformer, images: Tensor, tmp_path: Path) -> None:
    expected = small.forward_intermediates(images, (0, 1), intermediates_only=True)
    assert small.prune_intermediate_layers((0, -2), prune_norm=True) == [0, 1]
    pruned = small.forward_intermediates(images, (0, 1), intermediates_only=True)
    assert all(torch.equal(a, b) for a, b in zip(pruned, expected, strict=True))
    assert (len(small.blocks), small.architecture.depth, small.num_classes) == (2, 2, 0)
    assert small(images).shape == (2, 17, 24)
    for refused in (lambda: small.save(tmp_path / "no.safetensors"), lambda: small.extract(small.architecture)):
        with pytest.raises(CheckpointError, match="without head or norm is incomplete"):
            refused()


def test_a_model_with_a_new_head_is_saved_for_nasformer(
    small: TimmVisionTransformer, images: Tensor, tmp_path: Path
) -> None:
    small.reset_classifier(4, "token")
    net = load_network(small.save(tmp_path / "net.safetensors"))
    assert torch.equal(net(images), small(images))


def test_cls_token_positions_and_vectors_are_not_decayed(small: TimmVisionTransformer) -> None:
    groups = create_optimizer_v2(small, opt="adamw", lr=1e-3, weight_decay=0.05).param_groups
    exempt = {id(p) for group in groups if group["weight_decay"] == 0 for p in group["params"]}
    names = {name for name, parameter in small.named_parameters() if id(parameter) in exempt}
    vectors = {name for name, parameter in small.named_parameters() if parameter.ndim == 1}
    assert names == vectors | {"patch_embed.cls_token", "patch_embed.positions"}


def test_layers_are_ordered_from_the_stem_to_the_head(small: TimmVisionTransformer) -> None:
    layer = group_parameters(small, small.group_matcher(), reverse=True)
    assert layer["patch_embed.positions"] == 0
    assert [layer[f"blocks.{block}.mlp.fc1.weight"] for block in range(3)] == [1, 2, 3]
    assert layer["norm.weight"] <= layer["head.weight"]
    groups = create_optimizer_v2(small, opt="adamw", lr=1.0, weight_decay=0.05, layer_decay=0.5).param_groups
    scales = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    assert scales[id(small.head.weight)] == 1
    assert scales[id(small.patch_embed.weight)] < scales[id(small.get_parameter("blocks.2.attn.qkv.weight"))]


@pytest.mark.parametrize(
    "criterion", [loss.LabelSmoothingCrossEntropy(0.1), loss.SoftTargetCrossEntropy(), loss.BinaryCrossEntropy(0.1)]
)
@pytest.mark.parametrize("opt", ["adamw", "sgd", "lamb"])
def test_timms_losses_and_optimizers_train(criterion: nn.Module, opt: str, images: Tensor) -> None:
    model = TimmVisionTransformer(GEOMETRY, Architecture(24, (3, 2), (2, 1)), drop_path_rate=0.0, seed=1)
    optimizer = create_optimizer_v2(model, opt=opt, lr=0.01, weight_decay=0.05, momentum=0.9)
    target = torch.tensor([1, 3])
    if isinstance(criterion, loss.SoftTargetCrossEntropy):
        target = nn.functional.one_hot(target, 5).float()
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        losses.append(criterion(model(images), target))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < losses[0]


def test_an_average_of_the_weights_is_a_model_of_its_own(small: TimmVisionTransformer, images: Tensor) -> None:
    average = ModelEmaV3(small, decay=0.5)
    before = small.head.weight.detach().clone()
    with torch.no_grad():
        small.head.weight.zero_()
    average.update(small)
    assert torch.equal(average.module.head.weight, before / 2)
    assert average.module(images).shape == (2, 5)


def test_activation_checkpointing_leaves_the_gradients_as_they_are(
    small: TimmVisionTransformer, images: Tensor
) -> None:
    gradients = []
    for enable in (False, True):
        small.set_grad_checkpointing(enable)
        assert small.grad_checkpointing is enable
        small.zero_grad()
        small.forward_intermediates(images, intermediates_only=True)[-1].sum().backward()
        small(images).sum().backward()
        gradients.append(small.get_parameter("blocks.0.attn.qkv.weight").grad)
    assert gradients[0] is not None
    assert gradients[1] is not None
    torch.testing.assert_close(gradients[0], gradients[1])


def test_making_a_model_from_a_seed_leaves_torchs_generator_alone(small: TimmVisionTransformer) -> None:
    before = torch.get_rng_state()
    TimmVisionTransformer(GEOMETRY, small.architecture, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_is_copied_and_pickled(small: TimmVisionTransformer, images: Tensor) -> None:
    file = io.BytesIO()
    torch.save(small, file)
    file.seek(0)
    for other in (copy.deepcopy(small), torch.load(file, weights_only=False)):
        assert torch.equal(other(images), small(images))


def test_images_and_weights_may_have_their_channels_last(small: TimmVisionTransformer, images: Tensor) -> None:
    expected = small(images)
    small.to(memory_format=torch.channels_last)
    torch.testing.assert_close(small(images.contiguous(memory_format=torch.channels_last)), expected)
