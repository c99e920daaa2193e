"""Weight initialisation as in AutoFormer and timm's ViT, seeded and without global random state.

Truncated normal with standard deviation 0.02 for linear weights, positions, tables and the cls token; zero biases;
the patch embedding like torch's convolutions.
"""

from __future__ import annotations

import math

import torch
from torch import nn

DEVIATION = 0.02


def initialise(net: nn.Module, seed: int) -> None:
    """Initialise the parameters of ``net`` in place, reproducibly."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            part, _, kind = name.rpartition(".")
            if name.startswith("patch_embed.") and kind in ("weight", "bias") and not part.endswith("norm"):
                bound = 1 / math.sqrt(net.get_parameter(f"{part}.weight")[0].numel())
                parameter.uniform_(-bound, bound, generator=generator)
            elif parameter.ndim > 1:
                nn.init.trunc_normal_(parameter, std=DEVIATION, generator=generator)
