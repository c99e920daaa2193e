"""ONNX with preprocessing and softmax inside: pixels to probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nasformer._onnx import to_onnx
from nasformer.export.formats._format import Array, Run
from nasformer.export.formats.onnx import Onnx

if TYPE_CHECKING:
    from nasformer.export.description import Description
    from nasformer.supernet.model import VisionTransformer
    from nasformer.tasks import Task


class OnnxPixels(Onnx):
    """Bytes ``(batch, height, width, channels)`` of the network's resolution to probabilities ``(batch, classes)``."""

    def exported(self, net: VisionTransformer, description: Description) -> Any:
        """Return the graph with normalisation and softmax."""
        import torch
        from torch import Tensor, nn

        steps = description.preprocessing
        assert steps is not None
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (steps.mean, steps.std))

        class Probabilities(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.net = net

            def forward(self, images: Tensor) -> Tensor:
                outputs: Tensor = self.net((images.permute(0, 3, 1, 2).float() / 255 - mean) / std)
                return outputs.softmax(dim=1)

        pixels = torch.zeros(2, steps.size, steps.size, steps.channels, dtype=torch.uint8)
        return to_onnx(Probabilities().eval(), {"images": pixels}, ["probabilities"])

    def runner(self, run: Run, description: Description) -> Run:
        """Return a function of bytes to probabilities, and of normalised images to their logarithms, as logits."""

        def logits(inputs: Any) -> Array:
            if inputs.dtype == np.uint8:
                return run(inputs)
            found: Array = np.log(np.maximum(run(as_pixels(inputs, description)), np.finfo(np.float32).tiny))
            return found

        return logits

    def misfit(self, net: VisionTransformer, task: Task | None = None) -> str:
        """Tell that only images have pixels, and only classes probabilities."""
        if net.geometry.axes == 2 and (task is None or task.name == "classification"):
            return ""
        return "onnx-pixels is for the classification of images"

    def taken(self, inputs: Array, description: Description) -> Array:
        """Round to bytes."""
        assert description.preprocessing is not None
        pixels = as_pixels(inputs, description).transpose(0, 3, 1, 2)
        return description.preprocessing.normalised(pixels.astype(np.float32))

    def given(self, outputs: Array) -> Array:
        """Return logarithms of probabilities."""
        shifted = outputs - outputs.max(axis=1, keepdims=True)
        found: Array = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        return found

    def example(self, description: Description, batch_size: int) -> Any:
        """Return random bytes."""
        return as_pixels(super().example(description, batch_size), description)

    def snippet(self, inputs: str, output: str) -> str:
        """Run with onnxruntime."""
        return (
            f'import onnxruntime\n\nsession = onnxruntime.InferenceSession("{self.file}")\n'
            'probabilities = session.run(None, {"images": images})[0]  # uint8 (batch, height, width, channels)'
        )


def as_pixels(images: Array, description: Description) -> NDArray[np.uint8]:
    """Return the nearest bytes ``(batch, height, width, channels)`` of normalised images."""
    steps = description.preprocessing
    assert steps is not None
    mean, std = (np.asarray(values, dtype=np.float32).reshape(-1, 1, 1) for values in (steps.mean, steps.std))
    pixels = np.clip(np.rint((images * std + mean) * 255), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
