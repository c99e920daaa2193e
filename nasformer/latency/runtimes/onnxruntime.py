"""onnxruntime on the CPU: networks as ``nasformer export --format onnx`` writes them.

An export takes seconds. So all distinct parts of the networks (embedding, layers, head) are exported at once, and each
network's graph is put together from copies of its parts, with weights of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy as copy
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from nasformer._onnx import MODULES, need, open_session, quantise, to_onnx
from nasformer._timing import Pass
from nasformer.architecture import Layer
from nasformer.latency.runtimes._runtime import Runtime
from nasformer.supernet.model import VisionTransformer


class OnnxRuntime(Runtime):
    """onnxruntime with opset and optimisations of exported files."""

    dtypes = ("fp32", "int8")
    devices = ("cpu",)

    def passes(self, nets: Sequence[VisionTransformer], batch_size: int) -> list[Pass]:
        """Export the networks' parts, and open a session of each network."""
        for module in MODULES:
            need(module)
        parts = _Parts(nets)
        graphs = _Graphs(parts, self.dtype)
        sessions = [open_session(graphs.network(parts.of(net)), self.threads) for net in nets]
        inputs = ({"images": self.inputs(net, batch_size).numpy()} for net in nets)
        return [partial(session.run, None, given) for session, given in zip(sessions, inputs, strict=True)]


class _Parts(nn.Module):
    """The distinct parts of networks: each maps images, or tokens of its own input, to an output by name."""

    def __init__(self, nets: Sequence[VisionTransformer]) -> None:
        super().__init__()
        self.stems: dict[Any, tuple[int, VisionTransformer]] = {}
        self.layers: dict[Any, tuple[int, nn.Module, Layer]] = {}
        for net in nets:
            place, _ = self.stems.setdefault(_stem(net), (len(self.stems), net))
            for block, layer in zip(net.blocks, net.architecture.layers, strict=True):
                for branch in _branches(layer):
                    self.layers.setdefault((place, branch), (place, block, branch))
        self.nets = nn.ModuleList(net for _, net in self.stems.values())
        self.blocks = nn.ModuleList(block for _, block, _ in self.layers.values())

    def of(self, net: VisionTransformer) -> list[str]:
        """Return the names of a network's parts in their order."""
        (place, _), keys = self.stems[_stem(net)], [*self.layers]
        layers = [keys.index((place, branch)) for layer in net.architecture.layers for branch in _branches(layer)]
        return [f"embed{place}", *(f"layer{index}" for index in layers), f"head{place}"]

    @property
    def names(self) -> list[str]:
        """Names of the outputs."""
        stems = [name for place in range(len(self.nets)) for name in (f"embed{place}", f"head{place}")]
        return [*stems, *(f"layer{index}" for index in range(len(self.layers)))]

    def inputs(self) -> dict[str, Tensor]:
        """Return example inputs: the images and the tokens of each stem."""
        found = {}
        for place, net in self.stems.values():
            found[f"images{place}"] = torch.zeros(2, *net.geometry.input_shape)
            found[f"tokens{place}"] = torch.zeros(2, net.geometry.tokens, net.architecture.embed_dim)
        return found

    def forward(self, *inputs: Tensor) -> list[Tensor]:
        """Return the output of every part, in the order of ``names``."""
        outputs, tokens = [], inputs[1::2]
        for (_, net), images, x in zip(self.stems.values(), inputs[::2], tokens, strict=True):
            outputs.append(net.embed(images, net.architecture))
            outputs.append(net.classify(net.norm(x), net.architecture, net.statistics(images)))
        nets = [net for _, net in self.stems.values()]
        for place, block, layer in self.layers.values():
            outputs.append(block(tokens[place], layer, nets[place].patch_grid(nets[place].architecture)))
        return outputs


def _stem(net: VisionTransformer) -> Any:
    return net.geometry, net.pooling, net.architecture.embed_dim


def _branches(layer: Layer) -> list[Layer]:
    """Return the layer's attention and its MLP as layers of their own, unless skipped: few make many layers."""
    branches = replace(layer, hidden_dim=0), replace(layer, num_heads=0)
    return [each for each in branches if each.num_heads or each.hidden_dim]


class _Graphs:
    """The exported parts, and networks made of them."""

    def __init__(self, parts: _Parts, dtype: str) -> None:
        self.onnx, optimise = need("onnx"), need("onnxscript.optimizer").optimize
        self.model = to_onnx(parts.eval(), parts.inputs(), parts.names, optimize=False)
        self.shared = {name for name, _ in parts.named_buffers()}
        graph = self.model.graph
        self.makers = {name: index for index, node in enumerate(graph.node) for name in node.output}
        self.weights = {each.name: each for each in graph.initializer}
        self.inputs = {each.name: each for each in graph.input}
        self.parts = {put.name: optimise(self._part(put)) for put in graph.output}
        if dtype == "int8":
            self.parts = {name: _quantised(self.onnx, part) for name, part in self.parts.items()}

    def _part(self, output: Any) -> Any:
        """Return the part of an output as a model of its own."""
        nodes, wanted, names, found = self.model.graph.node, [output.name], set[str](), set[int]()
        while wanted:
            names.add(name := wanted.pop())
            if (index := self.makers.get(name)) is not None and index not in found:
                found.add(index)
                wanted += nodes[index].input
        return self._model(
            [nodes[index] for index in sorted(found)],
            [put for name, put in self.inputs.items() if name in names],
            [output],
            [weight for name, weight in self.weights.items() if name in names],
            [value for value in self.model.graph.value_info if value.name in names],
        )

    def _model(self, nodes: Any, inputs: Any, outputs: Any, weights: Any, values: Any = ()) -> Any:
        graph = self.onnx.helper.make_graph(nodes, "network", inputs, outputs, weights, value_info=values)
        return self.onnx.helper.make_model(
            graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version
        )

    def network(self, names: Sequence[str]) -> bytes:
        """Return the model of a network's parts, each of which reads the tokens of the one before."""
        nodes, weights, tokens = [], dict[str, Any](), "images"
        stem = names[0].removeprefix("embed")
        for place, name in enumerate(names):
            graph = self.parts[name].graph
            # other inputs than its own only tell the batch size
            given = {put.name: tokens if put.name == f"tokens{stem}" else "images" for put in graph.input}
            given |= {weight.name: weight.name for weight in graph.initializer if weight.name in self.shared}

            def rename(name: str, place: int = place, given: dict[str, str] = given) -> str:
                return given.get(name, f"{place}.{name}") if name else ""

            for each in graph.node:
                node = copy(each)
                node.name = rename(each.name)
                node.input[:], node.output[:] = map(rename, each.input), map(rename, each.output)
                nodes.append(node)
            for each in graph.initializer:
                weight = weights[rename(each.name)] = copy(each)
                weight.name = rename(each.name)
            tokens = rename(name)
        images, output = copy(self.inputs[f"images{stem}"]), copy(graph.output[0])
        images.name, output.name = "images", tokens
        model = self._model(nodes, [images], [output], weights.values())
        return bytes(model.SerializeToString())


def _quantised(onnx: Any, part: Any) -> Any:
    with TemporaryDirectory() as place:
        plain = Path(place, "plain.onnx")
        onnx.save(part, plain)
        return quantise(plain)
