"""Device and precision."""

from __future__ import annotations

import torch

from nasformer.errors import RecipeError
from nasformer.training.recipe import Recipe


def find_device(name: str | torch.device = "auto") -> torch.device:
    """Return the device ``name``; "auto" is the first available of cuda, mps and cpu.

    Raises:
        RecipeError: The device is unavailable.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(f"device {name!r} cannot be used ({reason}); take 'auto' or 'cpu'", name) from error
    return device


def uses_bfloat16(recipe: Recipe, device: torch.device) -> bool:
    """Whether to compute in bfloat16 on ``device``."""
    if recipe.amp == "auto":
        return device.type == "cuda" and torch.cuda.is_bf16_supported()
    return recipe.amp == "bf16"


def use_threads(count: int) -> None:
    """Set the number of torch threads of this process."""
    torch.set_num_threads(count)
