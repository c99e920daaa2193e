"""AdamW and its learning rate, as AutoFormer sets them up, the average of its weights, and unused slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nasformer.supernet.model import leading
from nasformer.training.recipe import Recipe

if TYPE_CHECKING:
    from timm.utils.model_ema import ModelEmaV3

NO_DECAY = ("cls_token", "positions", "pos_embed")


def make_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW without decay on cls token, absolute positions and 1-D parameters.

    Every parameter that is trained gets a gradient of zero from the start, so that one that takes no part in a step is
    still decayed and moved by momentum, as in AutoFormer's code.
    """
    decayed: list[Tensor] = []
    exempt: list[Tensor] = []
    for name, parameter in net.named_parameters():
        if not parameter.requires_grad:
            continue
        parameter.grad = torch.zeros_like(parameter)
        bare = parameter.ndim <= 1 or name.rpartition(".")[2] in NO_DECAY
        (exempt if bare else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": exempt, "weight_decay": 0.0}]
    fused = {parameter.device.type for parameter in net.parameters()} <= {"cpu", "cuda"}
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas, fused=fused)


def make_scheduler(optimizer: torch.optim.Optimizer, recipe: Recipe, steps_per_epoch: int) -> Any:
    """Return timm's cosine with a linear warm-up, set by the number of steps done and by nothing else."""
    from timm.scheduler.cosine_lr import CosineLRScheduler

    warmup = recipe.warmup_epochs * steps_per_epoch
    return CosineLRScheduler(
        optimizer,
        t_initial=recipe.epochs * steps_per_epoch,
        lr_min=recipe.min_learning_rate,
        warmup_t=warmup,
        warmup_lr_init=recipe.warmup_learning_rate if warmup else 0.0,
        t_in_epochs=False,
    )


def make_average(net: nn.Module, recipe: Recipe) -> ModelEmaV3 | None:
    """Return timm's average of a network's weights over the steps, or None where the recipe has none.

    The official code has the option, off by default; timm's averages every slice, also those that took no part.
    """
    if recipe.ema_decay is None:
        return None
    from timm.utils.model_ema import ModelEmaV3

    return ModelEmaV3(net, recipe.ema_decay, use_warmup=recipe.ema_warmup)


@contextmanager
def frozen_outside(
    net: nn.Module, optimizer: torch.optim.Optimizer, shapes: Sequence[Mapping[str, tuple[int, ...]]]
) -> Iterator[None]:
    """Keep weights and moments as they are, except in the leading slices of ``shapes``.

    Args:
        net: The network that a step of ``optimizer`` in this context moves.
        optimizer: The optimizer.
        shapes: Of each subnet that took part, the shape of its slice by name of the parameter; absent: none of it.
    """
    kept: list[tuple[Tensor, Tensor, set[tuple[int, ...]]]] = []
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            state = optimizer.state.get(parameter, {})
            moments = [state[key] for key in ("exp_avg", "exp_avg_sq") if key in state]
            used = {each[name] for each in shapes if name in each}
            if tuple(parameter.shape) not in used:
                kept += [(tensor, tensor.detach().clone(), used) for tensor in (parameter, *moments)]
        yield
        for tensor, before, used in kept:
            for shape in used:
                leading(before, shape).copy_(leading(tensor, shape))
            tensor.copy_(before)
