"""AdamW and its learning-rate schedule, as in AutoFormer, the EMA of weights, and the treatment of unused slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nasformer.supernet.model import leading_slice
from nasformer.training.recipe import Recipe

if TYPE_CHECKING:
    from timm.utils.model_ema import ModelEmaV3

NO_DECAY = ("cls_token", "positions", "pos_embed", "query", "registers")


def make_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW without weight decay on cls token, absolute positions and 1-D parameters.

    Gradients start as zeros, not None, so parameters unused in a step still see weight decay and momentum,
    as in AutoFormer's code.
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
    """Return timm's cosine schedule with linear warm-up, a function of the step number alone."""
    from timm.scheduler.cosine_lr import CosineLRScheduler

    warmup = recipe.warmup_epochs * steps_per_epoch
    return CosineLRScheduler(
        optimizer,
        t_initial=max(2, recipe.epochs * steps_per_epoch),  # timm warns of a schedule of one step
        lr_min=recipe.min_learning_rate,
        warmup_t=warmup,
        warmup_lr_init=recipe.warmup_learning_rate if warmup else 0.0,
        t_in_epochs=False,
    )


def make_ema(net: nn.Module, recipe: Recipe) -> ModelEmaV3 | None:
    """Return timm's exponential moving average (EMA) of a network's weights; None if the recipe has none.

    The official code has the option, off by default. timm's also averages slices that a step did not use.
    """
    if recipe.ema_decay is None:
        return None
    from timm.utils.model_ema import ModelEmaV3

    return ModelEmaV3(net, recipe.ema_decay, use_warmup=recipe.ema_warmup)


@contextmanager
def frozen_outside(
    net: nn.Module, optimizer: torch.optim.Optimizer, shapes: Sequence[Mapping[str, tuple[int, ...]]]
) -> Iterator[None]:
    """Freeze weights and moments outside the leading slices of ``shapes`` during an optimizer step.

    Args:
        net: The network.
        optimizer: The optimizer that steps in this context.
        shapes: Per active subnet, the shape of its slice by parameter name; absent: unused.
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
                leading_slice(before, shape).copy_(leading_slice(tensor, shape))
            tensor.copy_(before)
