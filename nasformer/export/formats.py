"""Writers of each format: safetensors (nasformer's and timm's layout), ONNX, torch.export."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from nasformer.errors import ExportError
from nasformer.export.description import DTYPES, FORMATS, KEY, Description
from nasformer.export.opened import need
from nasformer.supernet.model import VisionTransformer

OPSET = 20
"""ONNX opset: the first with a GELU operator, which onnxruntime runs as one kernel."""

_DTYPES = {
    "safetensors": ("fp32", "bf16"),
    "timm": ("fp32", "bf16"),
    "onnx": ("fp32", "int8"),
    "torch-export": ("fp32", "bf16"),
}


def require_format(format: str, dtype: str, net: VisionTransformer | None = None) -> None:
    """Check that a format is known, supports a dtype and a network, and its packages are installed.

    Raises:
        ExportError: One of these fails.
    """
    if format not in FORMATS:
        raise ExportError(f"--format is {', '.join(FORMATS)}, got {format!r}", format)
    if dtype not in DTYPES:
        raise ExportError(f"--dtype is {', '.join(DTYPES)}, got {dtype!r}", dtype)
    if dtype not in _DTYPES[format]:
        takers = ", ".join(name for name, dtypes in _DTYPES.items() if dtype in dtypes)
        raise ExportError(f"the format {format} does not support {dtype}; {dtype} is for {takers}", dtype)
    if format == "timm" and net is not None and not _fits_timm(net):
        raise ExportError(
            "timm has no networks of series or with pooling 'flatten' or 'cls_mean'; take format safetensors", net
        )
    if format == "onnx":
        for module in ("onnx", "onnxscript", "onnxruntime"):
            need(module)


def default_format() -> str:
    """Return "onnx" where its packages are installed, else "safetensors"."""
    return "onnx" if all(map(find_spec, ("onnx", "onnxscript", "onnxruntime"))) else "safetensors"


def write(net: VisionTransformer, folder: Path, description: Description, plain: Path | None = None) -> Path:
    """Write a network's file in the format and dtype of its description, and return its path.

    Args:
        net: The network; not modified.
        folder: Output folder.
        description: Metadata.
        plain: The fp32 file of the same network and format, source of int8.
    """
    path = folder / FORMATS[description.format]
    if description.dtype == "int8":
        assert plain is not None
        _quantise(plain, path, description)
    else:
        _WRITERS[path.suffix](deepcopy(net).cpu().float().eval(), path, description)
    return path


def _safetensors(net: VisionTransformer, path: Path, description: Description) -> None:
    if description.dtype == "bf16":
        net.to(torch.bfloat16)
    net.save(path, {"export": description.to_json()})
    if _fits_timm(net):
        from nasformer.export.timm.folder import write_config

        write_config(net, path.parent, description)


def _fits_timm(net: VisionTransformer) -> bool:
    return net.geometry.axes == 2 and net.pooling not in ("flatten", "cls_mean")


class _FloatInAndOut(nn.Module):
    """A network in another dtype with float32 inputs and outputs."""

    def __init__(self, net: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.net, self.dtype = net.to(dtype), dtype

    def forward(self, images: Tensor) -> Tensor:
        outputs: Tensor = self.net(images.to(self.dtype))
        return outputs.float()


def _example(net: VisionTransformer) -> dict[str, Any]:
    """Return example inputs for tracing, with dynamic batch size."""
    inputs = torch.zeros(2, *net.geometry.input_shape)
    return {"args": (inputs,), "dynamic_shapes": {"images": {0: torch.export.Dim("batch", min=1)}}}


def _program(net: VisionTransformer, path: Path, description: Description) -> None:
    module = _FloatInAndOut(net, torch.bfloat16) if description.dtype == "bf16" else net
    with torch.no_grad():
        program = torch.export.export(module, **_example(net), strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # removes local paths
    torch.export.save(program, path, extra_files={KEY: description.to_json()})


def _onnx(net: VisionTransformer, path: Path, description: Description) -> None:
    names: dict[str, Any] = {
        "input_names": [description.input_name],
        "output_names": [description.task.output],
    }
    with torch.no_grad():
        program = torch.onnx.export(net, **_example(net), **names, dynamo=True, verbose=False, opset_version=OPSET)
    assert program is not None
    for part in (program.model.graph, *program.model.graph):
        part.metadata_props.clear()  # traces are several times the size of a small network's weights
    program.model.metadata_props[KEY] = description.to_json()
    program.save(path)


def _quantise(plain: Path, path: Path, description: Description) -> None:
    """Quantise weights to int8, one scale per output channel; activations are quantised dynamically."""
    onnx: Any = need("onnx")
    from onnxruntime import quantization

    with TemporaryDirectory() as place:
        prepared = Path(place, path.name)
        quantization.quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        kinds: dict[str, Any] = {"weight_type": quantization.QuantType.QInt8, "per_channel": True}
        kinds |= {"op_types_to_quantize": ["MatMul", "Gemm"], "nodes_to_exclude": _tables(onnx.load(prepared))}
        quantization.quantize_dynamic(prepared, path, **kinds)
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {KEY: description.to_json()})
    onnx.save(model, path)


def _tables(model: Any) -> list[str]:
    """Return the matrix products with constant 0/1 tables per token, which are not weights."""
    stacked = {each.name for each in model.graph.initializer if len(each.dims) > 2}
    return [node.name for node in model.graph.node if node.op_type == "MatMul" and stacked & set(node.input)]


_WRITERS: dict[str, Callable[[VisionTransformer, Path, Description], None]] = {
    ".safetensors": _safetensors,
    ".onnx": _onnx,
    ".pt2": _program,
}
