"""Exponential moving average (EMA) of the weights: a recipe with ``ema_decay`` validates and saves it.

The official code has the option, off by default. timm's ``ModelEmaV3`` also averages slices that a step
did not use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from nasformer.training.recipe import Recipe

if TYPE_CHECKING:
    from timm.utils.model_ema import ModelEmaV3


def make_ema(net: nn.Module, recipe: Recipe) -> ModelEmaV3 | None:
    """Return timm's EMA of a network's weights; None if the recipe has none."""
    if recipe.ema_decay is None:
        return None
    from timm.utils.model_ema import ModelEmaV3

    return ModelEmaV3(net, recipe.ema_decay, use_warmup=recipe.ema_warmup)
