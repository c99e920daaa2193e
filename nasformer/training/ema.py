"""The average of the weights over the steps: timm's, which is what a recipe with ``ema_decay`` validates and keeps.

The official code has the option, off by default; timm's ``ModelEmaV3`` averages every slice, those too that took no
part in a step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from nasformer.training.recipe import Recipe

if TYPE_CHECKING:
    from timm.utils.model_ema import ModelEmaV3


def make_ema(net: nn.Module, recipe: Recipe) -> ModelEmaV3 | None:
    """Return timm's average of a network's weights, or None where the recipe has none."""
    if recipe.ema_decay is None:
        return None
    from timm.utils.model_ema import ModelEmaV3

    return ModelEmaV3(net, recipe.ema_decay, use_warmup=recipe.ema_warmup)
