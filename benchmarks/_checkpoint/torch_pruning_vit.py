"""Torch-Pruning's ViT pruning to a budget, run by the Python of its own environment: TASK ANSWER MACS.

As its example for timm, with the settings below, at the least ratio within the budget. The answer is the setting of the
lowest loss on the images after cutting. ``GroupHessianImportance.accumulate_grad`` of 1.6.1 keeps the last image's
gradients alone; its sums are filled here, so that all images count.
"""

from __future__ import annotations

import copy
import sys
import time
from typing import Any

import timm
import torch
import torch_pruning as tp  # type: ignore[import-not-found, unused-ignore]
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

FIRST, STEP, HALVES = 0.2, 0.05, 4
SETTINGS: list[dict[str, Any]] = [  # the best of all combinations at half of the MACs
    {"importance": "hessian", "scope": "global", "bottleneck": False, "heads": False},
    {"importance": "hessian", "scope": "global", "bottleneck": True, "heads": False},
    {"importance": "taylor", "scope": "global", "bottleneck": True, "heads": False},
    {"importance": "magnitude", "scope": "global", "bottleneck": True, "heads": False},
]


def main(task: str, answer: str, macs: str) -> None:
    """Prune in every setting, and keep the best."""
    given = torch.load(task, weights_only=True)
    model = timm.create_model("vit_tiny_patch16_224", **given["shape"]).eval()
    model.load_state_dict(given["state"])
    images, labels = given["images"], given["labels"]
    start = time.process_time()
    gradients = {"taylor": first_order(model, images, labels), "hessian": second_order(model, images, labels)}
    seconds, losses = {"importance": time.process_time() - start}, dict[str, float]()
    best: tuple[float, Any, dict[str, Any]] = (float("inf"), None, {})
    start = time.process_time()
    for setting in SETTINGS:
        net = to_budget(model, gradients, int(macs), setting)
        loss = float("inf") if net is None else loss_of(net, images, labels)
        losses[" ".join(map(str, setting.values()))] = loss
        if loss < best[0]:
            best = (loss, net, setting)
    seconds["search"] = time.process_time() - start
    _, net, setting = best
    blocks = [{"num_heads": each.attn.num_heads, "head_dim": each.attn.head_dim} for each in net.blocks]
    what = {"setting": setting, "losses": losses, "version": tp.__version__}
    state = {name: tensor.detach() for name, tensor in net.named_parameters()}
    torch.save({"state": state, "blocks": blocks, "macs": count(net), "seconds": seconds, "what": what}, answer)


def to_budget(model: Any, gradients: dict[str, list[torch.Tensor]], macs: int, setting: dict[str, Any]) -> Any:
    """Return the network of the least ratio within the budget: in steps, then between the last two.

    No bisection, as multiply-accumulates may rise again: a layer that would lose all its dimensions keeps them.
    """
    low, high, found = FIRST, 0.95, None
    while found is None and low < high:
        net = pruned(model, gradients, low + STEP, setting)
        if count(net) <= macs:
            high, found = low + STEP, net
        else:
            low += STEP
    for _ in range(HALVES):
        net = pruned(model, gradients, (low + high) / 2, setting)
        if count(net) <= macs:
            high, found = (low + high) / 2, net
        else:
            low = (low + high) / 2
    return found


def pruned(model: Any, gradients: dict[str, list[torch.Tensor]], ratio: float, setting: dict[str, Any]) -> Any:
    """Return a pruned copy."""
    net = copy.deepcopy(model)
    importance = {
        "taylor": tp.importance.GroupTaylorImportance,
        "hessian": tp.importance.GroupHessianImportance,
        "magnitude": tp.importance.GroupMagnitudeImportance,
    }[setting["importance"]]()
    for place, parameter in enumerate(net.parameters()):
        parameter.grad = gradients.get(setting["importance"], gradients["taylor"])[place].clone()
    attentions = [block.attn for block in net.blocks]
    pruner = tp.pruner.BasePruner(
        net,
        torch.zeros(1, 3, *net.patch_embed.img_size),
        importance=importance,
        global_pruning=setting["scope"] != "local",
        isomorphic=setting["scope"] == "isomorphic",
        pruning_ratio=ratio,
        max_pruning_ratio=0.95,
        ignored_layers=[net.head],
        pruning_ratio_dict=_kept_widths(net) if setting["bottleneck"] else None,
        num_heads={attention.qkv: attention.num_heads for attention in attentions},
        prune_num_heads=setting["heads"],
        prune_head_dims=not setting["heads"],
        head_pruning_ratio=ratio if setting["heads"] else 0.0,
        round_to=2,
    )
    for attention in attentions:  # else the trace keeps the unpruned width
        attention.attn_dim = -1
    for group in pruner.step(interactive=True):
        group.prune()
    for attention in attentions:
        attention.num_heads = pruner.num_heads[attention.qkv]
        attention.attn_dim = attention.qkv.out_features // 3
        attention.head_dim = attention.attn_dim // attention.num_heads
        attention.scale = attention.head_dim**-0.5
    return net


def _kept_widths(net: Any) -> dict[Any, float]:
    return {net.patch_embed.proj: 0.0}


def count(net: Any) -> int:
    """Return multiply-accumulates per image, as nasformer counts them."""
    width, patches = net.patch_embed.proj.out_channels, net.patch_embed.num_patches
    tokens = patches + 1
    total = patches * net.patch_embed.proj.weight[0].numel() * width + net.head.weight.numel()
    for block in net.blocks:
        inner = block.attn.qkv.out_features // 3
        total += 4 * tokens * width * inner + 2 * tokens**2 * inner
        total += 2 * tokens * width * block.mlp.fc1.out_features
    return int(total)


def first_order(model: Any, images: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
    """Return the gradients of the mean loss."""
    model.zero_grad()
    for first in range(0, len(images), 64):
        part = slice(first, first + 64)
        (cross_entropy(model(images[part]), labels[part], reduction="sum") / len(images)).backward()  # type: ignore[no-untyped-call]
    return [parameter.grad.clone() for parameter in model.parameters()]


def second_order(model: Any, images: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
    """Return the means of the squared gradients of single images."""
    parameters = {name: each.detach() for name, each in model.named_parameters()}

    def loss(weights: dict[str, torch.Tensor], image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return cross_entropy(functional_call(model, weights, (image[None],)), label[None])

    total = {name: torch.zeros_like(each) for name, each in parameters.items()}
    each_gradient = vmap(grad(loss), in_dims=(None, 0, 0))
    for first in range(0, len(images), 16):
        part = slice(first, first + 16)
        for name, found in each_gradient(parameters, images[part], labels[part]).items():
            total[name] += found.detach().pow(2).sum(0) / len(images)
    return list(total.values())


@torch.inference_mode()
def loss_of(net: Any, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the mean loss."""
    parts = [slice(first, first + 256) for first in range(0, len(images), 256)]
    return sum(float(cross_entropy(net(images[p]), labels[p], reduction="sum")) for p in parts) / len(images)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(*sys.argv[1:])
