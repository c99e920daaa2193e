"""``torch.compile``."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nasformer.latency.runtimes.torch import Torch


class Compile(Torch):
    """Networks compiled by ``torch.compile``, one by one, which takes seconds each."""

    def prepared(self, net: nn.Module) -> Callable[[Tensor], Tensor]:
        """Compile for the shape of the inputs, at the first call."""
        torch.compiler.reset()  # else one network's code counts as a recompilation of another's
        compiled: Callable[[Tensor], Tensor] = torch.compile(net, dynamic=False)
        return compiled
