"""Opened: an exported model, whatever its format, as a function from images to logits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nasformer.errors import CheckpointError, ExportError
from nasformer.export.description import FILE, Description, describe, read_description
from nasformer.export.formats import ONNX, PROGRAM, WEIGHTS, require
from nasformer.supernet import load_network
from nasformer.supernet.checkpoint import first_line, read_checkpoint
from nasformer.training.subnet import FILE as TRAINED

Images = NDArray[np.float32]
Run = Callable[[Images], Images]


@dataclass(frozen=True)
class Model:
    """A model that is ready to run.

    Attributes:
        run: Maps images ``(batch, channels, height, width)``, preprocessed, to logits ``(batch, num_classes)``.
        description: What is known of it.
        path: Its file.
    """

    run: Run
    description: Description
    path: Path

    def probabilities(self, images: Images) -> Images:
        """Return the probabilities ``(batch, num_classes)``."""
        logits = self.run(images)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), dtype=np.float32)


def open_model(path: str | Path) -> Model:
    """Open an exported model.

    Args:
        path: The folder of an export or of a fine-tuning, or the model's file in it.

    Raises:
        ExportError: There is none, it cannot be read, or what runs it is not installed.
    """
    file = _file(Path(path))
    if file.name == TRAINED or not (file.parent / FILE).exists():
        return _trained(file)
    description = read_description(file.parent)
    try:
        return Model(_OPENERS[file.suffix](file, description), description, file)
    except ExportError:
        raise
    except Exception as error:  # whatever torn bytes make a reader stumble over
        raise ExportError(f"cannot open {file}: {first_line(error)}", file) from error


def _file(path: Path) -> Path:
    if path.is_dir():
        names = (WEIGHTS, ONNX, PROGRAM, TRAINED)
        found = next((path / name for name in names if (path / name).exists()), None)
        if found is None:
            raise ExportError(f"{path} holds no model; 'nasformer export' writes {', '.join(names[:3])}", path)
        return found
    if not path.exists():
        raise ExportError(f"there is no model {path}; give the folder of an export or of a fine-tuning", path)
    if path.suffix not in _OPENERS:
        raise ExportError(f"{path} is no model; known: {', '.join(_OPENERS)}", path)
    return path


def _trained(file: Path) -> Model:
    """Open a network that was trained and not exported; its header says what it was trained on."""
    try:
        net = load_network(file)
        header, _ = read_checkpoint(file, "network")
    except CheckpointError as error:
        raise ExportError(f"{error}; 'nasformer export' writes a model with what is needed to run it", file) from error
    training = header["metadata"].get("training", {})
    return Model(_of_module(net), {**describe(net, training, {}), "format": "network", "dtype": "fp32"}, file)


def _of_module(net: Any, dtype: torch.dtype = torch.float32) -> Run:
    def run(images: Images) -> Images:
        with torch.inference_mode():
            logits: Images = net(torch.from_numpy(images).to(dtype)).float().numpy()
        return logits

    return run


def _weights(file: Path, description: Description) -> Run:
    net = load_network(file)
    dtype = torch.bfloat16 if description["dtype"] == "bf16" else torch.float32
    return _of_module(net.to(dtype), dtype)


def _onnx(file: Path, description: Description) -> Run:
    require("onnxruntime", extra="onnx")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(file), options, providers=onnxruntime.get_available_providers())

    def run(images: Images) -> Images:
        logits: Images = session.run(None, {"images": images})[0]
        return logits

    return run


def _program(file: Path, description: Description) -> Run:
    return _of_module(torch.export.load(file).module())


_OPENERS: dict[str, Callable[[Path, Description], Run]] = {
    ".safetensors": _weights,
    ".onnx": _onnx,
    ".pt2": _program,
}
