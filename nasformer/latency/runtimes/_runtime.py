"""The base class of runtimes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from nasformer._provenance import processor
from nasformer._timing import Pass
from nasformer.errors import BudgetError
from nasformer.supernet.model import VisionTransformer


@dataclass(frozen=True)
class Runtime(ABC):
    """Runs networks as they are deployed.

    Args:
        threads: CPU threads.
        dtype: Compute precision.
        device: "cpu", "cuda", …

    Raises:
        BudgetError: It has no such dtype, or not on this device.
    """

    threads: int
    dtype: str = "fp32"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    dtypes: ClassVar[tuple[str, ...]]
    devices: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        for kind, value, known in (("dtype", self.dtype, self.dtypes), ("device", self.device.type, self.devices)):
            if value not in known:
                raise BudgetError(f"the runtime {self.name} has the {kind} {' or '.join(known)}, got {value!r}", value)

    @property
    def name(self) -> str:
        """The name by which ``get_runtime`` finds it."""
        package, _, stem = type(self).__module__.rpartition(".")
        own = package == __name__.rpartition(".")[0]
        return stem if own else f"{type(self).__module__}:{type(self).__name__}"

    @abstractmethod
    def passes(self, nets: Sequence[VisionTransformer], batch_size: int) -> list[Pass]:
        """Return a function for each network that runs it on a batch of ``inputs``."""

    def inputs(self, net: VisionTransformer, batch_size: int) -> Tensor:
        """Return random inputs ``(batch_size, *input_shape)``."""
        return torch.randn(batch_size, *net.geometry.input_shape)

    def wait(self) -> None:
        """Wait until the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def describe(self) -> str:
        """Return the GPU's name, or the processor's with the number of threads."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return f"{processor()}, {self.device.type}, {self.threads} threads"
