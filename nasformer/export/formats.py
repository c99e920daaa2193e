"""One network written in each format: safetensors (ours and timm's layout), ONNX, torch.export."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
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
"""Of ONNX files: the first with GELU as one operator, which onnxruntime runs as one."""

_DTYPES = {
    "safetensors": ("fp32", "bf16"),
    "timm": ("fp32", "bf16"),
    "onnx": ("fp32", "int8"),
    "torch-export": ("fp32", "bf16"),
}


def require_format(format: str, dtype: str) -> None:
    """Check that a format is known, computes in a dtype, and has what writes it.

    Raises:
        ExportError: One of these does not hold.
    """
    if format not in FORMATS:
        raise ExportError(f"--format is {', '.join(FORMATS)}, got {format!r}", format)
    if dtype not in DTYPES:
        raise ExportError(f"--dtype is {', '.join(DTYPES)}, got {dtype!r}", dtype)
    if dtype not in _DTYPES[format]:
        takers = ", ".join(name for name, dtypes in _DTYPES.items() if dtype in dtypes)
        raise ExportError(f"the format {format} is not written in {dtype}; {dtype} is for {takers}", dtype)
    if format == "onnx":
        for module in ("onnx", "onnxscript", "onnxruntime"):
            need(module)


def write(net: VisionTransformer, folder: Path, description: Description, plain: Path | None = None) -> Path:
    """Write a network's file in the format and dtype of its description, and return its path.

    Args:
        net: The network; it is left as it is.
        folder: Where.
        description: What the file says of itself.
        plain: The file of the same network and format in fp32, which int8 is made from.
    """
    path = folder / FORMATS[description.format]
    if description.dtype == "int8":
        assert plain is not None
        _quantise(plain, path, description)
    else:
        _WRITERS[path.suffix](deepcopy(net).cpu().float().eval(), path, description)
    return path


def _safetensors(net: VisionTransformer, path: Path, description: Description) -> None:
    from nasformer.export.timm.folder import write_config

    if description.dtype == "bf16":
        net.to(torch.bfloat16)
    net.save(path, {"export": description.to_json()})
    write_config(net, path.parent, description)


class _FloatInAndOut(nn.Module):
    """A network in another dtype that takes and gives float32."""

    def __init__(self, net: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.net, self.dtype = net.to(dtype), dtype

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images.to(self.dtype))
        return logits.float()


def _example(net: VisionTransformer) -> dict[str, Any]:
    """Return what a graph for any number of images is traced with."""
    g = net.geometry
    images = torch.zeros(2, g.in_channels, g.image_size, g.image_size)
    return {"args": (images,), "dynamic_shapes": {"images": {0: torch.export.Dim("batch", min=1)}}}


def _program(net: VisionTransformer, path: Path, description: Description) -> None:
    module = _FloatInAndOut(net, torch.bfloat16) if description.dtype == "bf16" else net
    with torch.no_grad():
        program = torch.export.export(module, **_example(net), strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine are nobody's business
    torch.export.save(program, path, extra_files={KEY: description.to_json()})


def _onnx(net: VisionTransformer, path: Path, description: Description) -> None:
    names: dict[str, Any] = {"input_names": ["images"], "output_names": ["logits"]}
    with torch.no_grad():
        program = torch.onnx.export(net, **_example(net), **names, dynamo=True, verbose=False, opset_version=OPSET)
    assert program is not None
    for part in (program.model.graph, *program.model.graph):
        part.metadata_props.clear()  # traces: several times the weights of a small network
    program.model.metadata_props[KEY] = description.to_json()
    program.save(path)


def _quantise(plain: Path, path: Path, description: Description) -> None:
    """Write weights as int8, one scale for each output; activations are quantised as they come."""
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
    """Return the products with constant tables of zeros and ones, one for each token: they are no weights."""
    stacked = {each.name for each in model.graph.initializer if len(each.dims) > 2}
    return [node.name for node in model.graph.node if node.op_type == "MatMul" and stacked & set(node.input)]


_WRITERS: dict[str, Callable[[VisionTransformer, Path, Description], None]] = {
    ".safetensors": _safetensors,
    ".onnx": _onnx,
    ".pt2": _program,
}
