"""Loaders of exported files: safetensors, timm, onnxruntime, torch.export.

onnxruntime needs neither torch nor timm. Safetensors and ONNX files are pure data; loading a ``.pt2`` in torch
can run code, so open only files from trusted sources.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any
from zipfile import is_zipfile

import numpy as np
from numpy.typing import NDArray

from nasformer.errors import ExportError, NasformerError
from nasformer.export.description import FORMATS, KEY, Description

Array = NDArray[np.float32]
Run = Callable[[Array], Array]
EXTRAS = {"onnx": "onnx", "onnxruntime": "onnx", "onnxscript": "onnx"}
"""The extra that installs each module."""


@dataclass(frozen=True)
class Model:
    """A loaded export.

    Attributes:
        path: Its file.
        description: Its metadata.
        run: Maps inputs ``(batch, *input_shape)`` to outputs ``(batch, outputs)``.
    """

    path: Path
    description: Description
    run: Run

    def predictions(self, inputs: Array, top: int = 5) -> list[dict[str, Any]]:
        """Return what the outputs for inputs ``(batch, *input_shape)`` mean, by ``Task.predictions``."""
        return self.description.task.predictions(self.run(inputs), top)


def open_model(path: str | Path, *, format: str | None = None, device: str = "cpu") -> Model:
    """Load an export by folder or model file.

    Args:
        path: The folder or the file.
        format: "timm": with timm's factory, folders only; None: by file extension.
        device: Device of safetensors files; other formats run on the CPU.

    Raises:
        ExportError: It is missing, damaged, not an export of nasformer, or its library is not installed.
    """
    file = _file(Path(path))
    if device != "cpu" and (file.suffix != ".safetensors" or format == "timm"):
        raise ExportError(f"{file.name} runs on the CPU; --device {device} is for model.safetensors", device)
    try:
        description, run = _timm(file) if format == "timm" else _OPENERS[file.suffix](file, device)
    except NasformerError:
        raise
    except Exception as error:  # corrupt files can raise anything
        lines = str(error).splitlines() or [type(error).__name__]
        raise ExportError(f"cannot open {file}: {lines[0]}; export it again", file) from error
    return Model(file, description, run)


def need(module: str) -> ModuleType:
    """Return a module of an extra.

    Raises:
        ExportError: It is not installed; the message names its extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        extra = EXTRAS[module]
        raise ExportError(
            f"the format onnx needs {module}, which is not installed: pip install 'nasformer[{extra}]'", module
        ) from error


def _file(path: Path) -> Path:
    if path.is_dir():
        found = [path / name for name in dict.fromkeys(FORMATS.values()) if (path / name).is_file()]
        if not found:
            raise ExportError(f"{path} has none of {', '.join(dict.fromkeys(FORMATS.values()))}; export first", path)
        return found[0]
    if not path.is_file():
        raise ExportError(f"there is no model {path}; create it with 'nasformer export'", path)
    if path.suffix not in _OPENERS:
        raise ExportError(f"{path} is not a model: its extension is none of {', '.join(_OPENERS)}", path)
    return path


def _safetensors(file: Path, device: str) -> tuple[Description, Run]:
    import torch

    from nasformer.supernet import load_network
    from nasformer.supernet.checkpoint import read_checkpoint

    header, _ = read_checkpoint(file, "network")
    description = Description.from_json(header["metadata"].get("export"), file)
    dtype = torch.bfloat16 if description.dtype == "bf16" else torch.float32
    place = _place(device)
    return description, _of_torch(load_network(file).to(place, dtype), dtype, place)


def _place(device: str) -> Any:
    import torch

    if device == "cpu":
        return torch.device("cpu")
    from nasformer.training.device import find_device  # a slow import, not needed for the CPU

    return find_device(device)


def _timm(file: Path) -> tuple[Description, Run]:
    import timm
    import torch

    import nasformer.export.timm  # noqa: F401 (registers the model)

    description, _ = _safetensors(file, "cpu")
    net = timm.create_model(f"local-dir:{file.parent}", pretrained=True).eval()
    return description, _of_torch(net, torch.float32, torch.device("cpu"))


def _program(file: Path, device: str) -> tuple[Description, Run]:
    import torch

    if not is_zipfile(file):
        raise ExportError(f"cannot open {file}: truncated, or not a torch.export file; export it again", file)
    texts = {KEY: ""}
    program = torch.export.load(file, extra_files=texts)
    return Description.from_json(texts[KEY], file), _of_torch(program.module(), torch.float32, torch.device("cpu"))


def _of_torch(net: Any, dtype: Any, device: Any) -> Run:
    import torch

    def run(inputs: Array) -> Array:
        with torch.inference_mode():
            outputs: Array = net(torch.from_numpy(inputs).to(device, dtype)).float().cpu().numpy()
        return outputs

    return run


def _onnx(file: Path, device: str) -> tuple[Description, Run]:
    runtime: Any = need("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))  # onnxruntime ignores it
    session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    description = Description.from_json(session.get_modelmeta().custom_metadata_map.get(KEY), file)
    (given,) = session.get_inputs()
    return description, lambda inputs: session.run(None, {given.name: inputs})[0]


_OPENERS: dict[str, Callable[[Path, str], tuple[Description, Run]]] = {
    ".safetensors": _safetensors,
    ".onnx": _onnx,
    ".pt2": _program,
}
