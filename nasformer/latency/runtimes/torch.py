"""Eager torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nasformer._timing import Pass
from nasformer.latency.runtimes._runtime import Runtime
from nasformer.supernet.model import VisionTransformer

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class Torch(Runtime):
    """Eager torch, also on GPUs."""

    dtypes = (*_DTYPES,)
    devices = ("cpu", "cuda", "mps")

    def passes(self, nets: Sequence[VisionTransformer], batch_size: int) -> list[Pass]:
        """Move the networks to the device."""
        to: dict[str, Any] = {"device": self.device, "dtype": _DTYPES[self.dtype]}
        return [partial(self.prepared(net.to(**to)), self.inputs(net, batch_size).to(**to)) for net in nets]

    def prepared(self, net: nn.Module) -> Callable[[Tensor], Tensor]:
        """Return what is run."""
        return net
