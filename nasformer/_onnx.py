"""ONNX: from a torch module to a session of onnxruntime. Sessions need no torch."""

from __future__ import annotations

import importlib
import os
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from nasformer.errors import ExportError

MODULES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 20
"""The first opset with a GELU operator, which onnxruntime runs as one kernel."""


def need(module: str) -> Any:
    """Return a module of the extra ``onnx``.

    Raises:
        ExportError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ExportError(
            f"ONNX needs {module}, which is not installed: pip install 'nasformer[onnx]'", module
        ) from error


def to_onnx(module: Any, inputs: dict[str, Any], outputs: list[str], *, optimize: bool = True) -> Any:
    """Return the ``onnx.ModelProto`` of a module in evaluation mode, for any batch size.

    Args:
        module: The module; its arguments are the inputs.
        inputs: Example tensors by name, batch first.
        outputs: Names of the outputs.
        optimize: Fold constants and drop all shapes, as in files that are deployed; onnxruntime reuses less memory
            between operators of given shapes, and took 7 % longer.
    """
    import torch

    batch = torch.export.Dim("batch", min=1)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "# The axis name: batch")  # torch warns that several inputs share it
        program = torch.onnx.export(
            module,
            (*inputs.values(),),
            dynamic_shapes=({0: batch},) if len(inputs) == 1 else (({0: batch},) * len(inputs),),
            input_names=[*inputs],
            output_names=outputs,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            optimize=optimize,
        )
    assert program is not None
    for part in (program.model.graph, *program.model.graph):
        part.metadata_props.clear()  # traces are several times the size of a small network's weights
    model = program.model_proto
    if optimize:
        del model.graph.value_info[:]
    return model


def quantise(plain: Path) -> Any:
    """Return a file's model with int8 weights, one scale per output channel; activations are quantised dynamically."""
    onnx = need("onnx")
    from onnxruntime import quantization

    with TemporaryDirectory() as place:
        prepared, path = Path(place, "prepared.onnx"), Path(place, "int8.onnx")
        quantization.quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        kinds: dict[str, Any] = {"weight_type": quantization.QuantType.QInt8, "per_channel": True}
        kinds |= {"op_types_to_quantize": ["MatMul", "Gemm"], "nodes_to_exclude": _tables(onnx.load(prepared))}
        quantization.quantize_dynamic(prepared, path, **kinds)
        model = onnx.load(path)
    del model.graph.value_info[:]
    return model


def _tables(model: Any) -> list[str]:
    """Return the matrix products with constant 0/1 tables per token, which are not weights."""
    stacked = {each.name for each in model.graph.initializer if len(each.dims) > 2}
    return [node.name for node in model.graph.node if node.op_type == "MatMul" and stacked & set(node.input)]


def open_session(model: Path | bytes, threads: int | None = None) -> Any:
    """Return an ``InferenceSession`` on the CPU; threads: None: OMP_NUM_THREADS, or all cores."""
    runtime = need("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or int(os.environ.get("OMP_NUM_THREADS", 0))  # onnxruntime ignores it
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
