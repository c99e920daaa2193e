"""Whole networks in each runtime: what is run is what an export runs, and settings are refused in a line."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from nasformer._onnx import open_session, to_onnx
from nasformer.architecture import Architecture, uniform
from nasformer.errors import BudgetError, ExportError
from nasformer.latency import default_runtime, get_runtime, measure_deployed, runtime_names
from nasformer.latency.measure import Timing
from nasformer.space import SearchSpace
from nasformer.supernet import VisionTransformer


def operators(model: bytes, place: Any) -> Counter[str]:
    """Return the operators that onnxruntime runs."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(place / "optimised.onnx"), 3
    runtime.InferenceSession(model, options)
    return Counter(node.op_type for node in onnx.load(place / "optimised.onnx").graph.node)


def test_a_network_of_exported_parts_is_the_exported_network(space: SearchSpace, tmp_path: Any) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript comes with nasformer[onnx]")
    from nasformer.latency.runtimes.onnxruntime import _Graphs, _Parts

    drawn = Architecture(24, (2, 1), (2, 1))  # all parts differ
    net, other = (VisionTransformer(space.geometry, each).eval() for each in (drawn, uniform(16, 1, 1, 1)))
    parts = _Parts([net, other])
    graph = _Graphs(parts, "fp32").network(parts.of(net))
    images = torch.randn(3, *space.geometry.input_shape)
    with torch.no_grad():
        (outputs,) = open_session(graph, 1).run(None, {"images": images.numpy()})
        assert torch.allclose(torch.from_numpy(outputs), net(images), atol=1e-5)
    whole = to_onnx(net, {"images": images}, ["logits"]).SerializeToString()
    ours, theirs = operators(graph, tmp_path), operators(whole, tmp_path)
    for kind in ("MatMul", "FusedMatMul", "Softmax", "Transpose", "Split", "BiasGelu", "Reshape", "Concat"):
        assert ours[kind] == theirs[kind], (kind, ours, theirs)


@pytest.mark.parametrize("dtype", ["fp32", "int8"])
def test_onnxruntime_measures_networks_and_architectures(space: SearchSpace, dtype: str) -> None:
    pytest.importorskip("onnxscript", reason="onnxscript comes with nasformer[onnx]")
    net = VisionTransformer(space.geometry, space.smallest)
    options: dict[str, Any] = {"geometry": space.geometry, "dtype": dtype, "repeats": 2, "threads": 1}
    timings = measure_deployed([net, space.smallest], runtime="onnxruntime", batch_size=2, **options)
    assert all(timing.median_ms > 0 for timing in timings)


def test_torch_measures_in_its_dtype_and_leaves_network_and_threads(space: SearchSpace) -> None:
    net, threads = VisionTransformer(space.geometry, space.smallest).train(), torch.get_num_threads()
    (timing,) = measure_deployed([net], runtime="torch", threads=threads + 1, dtype="bf16", repeats=2)
    assert timing.median_ms > 0
    assert (net.training, next(net.parameters()).dtype, torch.get_num_threads()) == (True, torch.float32, threads)


@pytest.mark.slow
def test_torch_compiles(space: SearchSpace) -> None:
    options: dict[str, Any] = {"geometry": space.geometry, "repeats": 2}
    timings = measure_deployed([space.smallest, space.largest], runtime="compile", **options)
    assert all(timing.median_ms > 0 for timing in timings)


def test_the_median_and_the_quartiles_count() -> None:
    timing = Timing.of([4e-3, 1e-3, 2e-3, 3e-3, 5e-3])
    assert timing.median_ms == pytest.approx(3.0)
    assert timing.spread == pytest.approx(2 / 3)
    assert Timing.of([2e-3]) == Timing(2.0, 0.0)


def test_runtimes_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    assert {"compile", "onnxruntime", "torch"} <= {*runtime_names()}
    assert get_runtime("torch")(threads=1).name == "torch"
    assert default_runtime("cuda") == "torch"
    with pytest.raises(BudgetError, match=r"unknown runtime 'onxruntime'.*onnxruntime"):
        get_runtime("onxruntime")
    monkeypatch.setitem(sys.modules, "onnxscript", None)  # what import sees where it is not installed
    with pytest.raises(ExportError, match=r"ONNX needs onnxscript.*pip install 'nasformer\[onnx\]'"):
        measure_deployed([], runtime="onnxruntime")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"repeats": 0}, "repeats must be at least 1, got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"dtype": "int8"}, "the runtime torch has the dtype fp32 or bf16, got 'int8'"),
        ({"runtime": "onnxruntime", "device": "cuda"}, "the runtime onnxruntime has the device cpu, got 'cuda'"),
        ({}, "an architecture needs the geometry of its space"),
    ],
)
def test_what_cannot_be_measured_is_one_line(space: SearchSpace, options: dict[str, Any], words: str) -> None:
    with pytest.raises(BudgetError, match=words):
        measure_deployed([space.smallest], **{"runtime": "torch", **options})
