"""``torch.compile``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch._dynamo.config as dynamo
from torch import Tensor, nn

from nasformer._timing import Pass
from nasformer.latency.runtimes.torch import Torch
from nasformer.supernet.model import VisionTransformer


class Compile(Torch):
    """Networks compiled by ``torch.compile``, one by one, which takes seconds each."""

    def passes(self, nets: Sequence[VisionTransformer], batch_size: int) -> list[Pass]:
        """Allow as many compiled networks as there are; else further ones would run in eager torch."""
        for limit in ("recompile_limit", "accumulated_recompile_limit"):
            setattr(dynamo, limit, max(getattr(dynamo, limit), 2 * len(nets)))
        return super().passes(nets, batch_size)

    def prepared(self, net: nn.Module) -> Callable[[Tensor], Tensor]:
        """Compile for the shape of the inputs, at the first call."""
        compiled: Callable[[Tensor], Tensor] = torch.compile(net, dynamic=False, fullgraph=True)
        return compiled
