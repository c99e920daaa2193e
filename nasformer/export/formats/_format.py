"""The base class of formats."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path

    from nasformer.export.description import Description
    from nasformer.supernet.model import VisionTransformer
    from nasformer.tasks import Task

Array = NDArray[np.float32]
Run = Callable[[Any], Array]


class Format(ABC):
    """Writes and opens files of one format.

    Attributes:
        file: The file's name in a folder.
        dtypes: Compute precisions.
        needs: Modules of the extra ``onnx``.
        opset: The ONNX opset; None: no ONNX.
        on_device: Whether opened networks run on other devices than the CPU.
    """

    file: ClassVar[str]
    dtypes: ClassVar[tuple[str, ...]] = ("fp32", "bf16")
    needs: ClassVar[tuple[str, ...]] = ()
    opset: ClassVar[int | None] = None
    on_device: ClassVar[bool] = False

    @abstractmethod
    def write(self, net: VisionTransformer, path: Path, description: Description, plain: Path | None) -> None:
        """Write a file.

        Args:
            net: The network in float32, in evaluation mode, on the CPU; may be modified.
            path: The file.
            description: Metadata, dtype included.
            plain: The fp32 file of another dtype.
        """

    @abstractmethod
    def open(self, path: Path, device: str) -> tuple[Description, Run]:
        """Return a file's metadata, and a function that maps inputs ``(batch, *input_shape)`` to outputs."""

    @abstractmethod
    def snippet(self, inputs: str, output: str) -> str:
        """Return code that runs a file, for the model card."""

    def misfit(self, net: VisionTransformer, task: Task | None = None) -> str:
        """Return why the format cannot hold a network of a task; empty: it can."""
        return ""

    def taken(self, inputs: Array, description: Description) -> Array:
        """Return inputs as the file sees them, such as rounded ones."""
        return inputs

    def given(self, outputs: Array) -> Array:
        """Return a network's outputs as the file gives them."""
        return outputs

    def example(self, description: Description, batch_size: int) -> Any:
        """Return random inputs that ``Run`` takes."""
        shape = batch_size, *description.input_shape
        return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
