"""Latency measurements of blocks and whole networks on this device.

A layer's latency is that of a stack of equal layers divided by their number, so that weights are not unrealistically
cached. Blocks are measured in interleaved rounds, so that drift of the machine affects all equally; the median counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from nasformer._provenance import processor
from nasformer._timing import Key, Pass, rounds
from nasformer.architecture import Architecture, uniform
from nasformer.cost import FunctionCost, Geometry, LatencyTable
from nasformer.dimension import BASIC
from nasformer.errors import BudgetError
from nasformer.space import SearchSpace
from nasformer.supernet.model import VisionTransformer

STACK = 4
"""Layers per measured stack."""


@dataclass(frozen=True)
class Prediction:
    """Predicted and measured latencies of whole networks.

    Args:
        networks: The networks.
        predicted: Microseconds predicted by the table.
        measured: Measured microseconds.
    """

    networks: Sequence[Architecture]
    predicted: Sequence[int]
    measured: Sequence[int]

    @property
    def errors(self) -> list[float]:
        """Signed relative errors: 0.1 if the table predicts 10 % too much."""
        return [p / m - 1 for p, m in zip(self.predicted, self.measured, strict=True)]

    @property
    def median_error(self) -> float:
        """Median absolute relative error."""
        return statistics.median(abs(error) for error in self.errors)


def measure_blocks(
    space: SearchSpace, *, device: str | torch.device = "cpu", batch_size: int = 1, repeats: int = 30
) -> LatencyTable:
    """Measure all stems and layers of a space.

    Args:
        space: The space.
        device: Device; CPU threads are torch's (``torch.set_num_threads``).
        batch_size: Images per forward pass.
        repeats: Number of rounds.

    Raises:
        BudgetError: ``batch_size`` or ``repeats`` is below 1.
    """
    _at_least_one(batch_size=batch_size, repeats=repeats)
    bench = _Bench(space.geometry, torch.device(device), batch_size)
    passes: dict[tuple[tuple[float, ...], ...], Pass] = {}
    for stem in _stems(space):
        key = stem.embed_dim, *(value for _, value in stem.network)
        passes[(key,)] = bench.stem(stem)
        for stack in _stacks(space, stem):
            layer = stack.layers[0]
            sizes = layer.num_heads, layer.hidden_dim, *(value for _, value in layer.further)
            if (key, sizes) not in passes:  # ratios may round to one width
                passes[key, sizes] = bench.layers(stack)
    times = _rounds(passes, repeats, bench.device)
    micros = {
        block: round(1e6 * statistics.median(values) / (1 if len(block) == 1 else STACK))
        for block, values in times.items()
    }
    further = space.dimensions[len(BASIC) :]
    network = tuple(dimension.name for dimension in further if dimension.scope == "network")
    return LatencyTable(
        device=describe_device(bench.device),
        geometry=space.geometry,
        stem={(block[0] if network else block[0][0]): time for block, time in micros.items() if len(block) == 1},
        layer={(*block[0], *block[1]): time for block, time in micros.items() if len(block) == 2},
        batch_size=batch_size,
        repeats=repeats,
        spread=max(_spread(values) for values in times.values()),
        network=network,
        layers=tuple(dimension.name for dimension in further if dimension.scope == "layer"),
    )


def _stems(space: SearchSpace) -> Iterator[Architecture]:
    """Yield an architecture of a skipped layer for each choice of the network."""
    codec = space.codec
    for choices in product(*(dimension.values for dimension in codec.network)):
        sizes = dict(zip((dimension.name for dimension in codec.network), choices, strict=True))
        yield uniform(**{"depth": 1, "num_heads": 0, "mlp_ratio": 0, **sizes})  # type: ignore[arg-type]


def _stacks(space: SearchSpace, stem: Architecture) -> Iterator[Architecture]:
    """Yield a stack of equal layers for each choice of a layer that is not skipped."""
    codec = space.codec
    for choices in product(*(dimension.values for dimension in codec.layer)):
        layer = {d.name: (value,) * STACK for d, value in zip(codec.layer, choices, strict=True)}
        if layer["num_heads"][0] or layer["mlp_ratio"][0]:
            yield stem.replace(**layer)


def measure_networks(
    geometry: Geometry,
    architectures: Sequence[Architecture],
    *,
    device: str | torch.device = "cpu",
    batch_size: int = 1,
    repeats: int = 30,
) -> list[int]:
    """Return the median microseconds per forward pass of each network, with random weights.

    Raises:
        BudgetError: ``batch_size`` or ``repeats`` is below 1.
    """
    _at_least_one(batch_size=batch_size, repeats=repeats)
    bench = _Bench(geometry, torch.device(device), batch_size)
    passes = {index: bench.network(architecture) for index, architecture in enumerate(architectures)}
    times = _rounds(passes, repeats, bench.device)
    return [round(1e6 * statistics.median(times[index])) for index in passes]


def check_prediction(
    table: LatencyTable, space: SearchSpace, *, networks: int = 8, seed: int = 0, device: str | torch.device = "cpu"
) -> Prediction:
    """Compare a table with measurements of random whole networks of its space, under its settings."""
    drawn = space.sample(networks, seed=seed)
    measured = measure_networks(
        space.geometry, drawn, device=device, batch_size=table.batch_size, repeats=table.repeats
    )
    return Prediction(drawn, [table.predict(architecture) for architecture in drawn], measured)


def measured_cost(space: SearchSpace, *, device: str | torch.device = "cpu", repeats: int = 30) -> FunctionCost:
    """Return ``latency_ms`` as a black-box cost that measures whole networks, unlike an additive table.

    Sets that it bounds are sampled by rejection, at one measurement per candidate.
    """

    def latency_ms(architecture: Architecture) -> float:
        return measure_networks(space.geometry, [architecture], device=device, repeats=repeats)[0] / 1000

    return FunctionCost("latency_ms", latency_ms, f"measured on {describe_device(torch.device(device))}")


def describe_device(device: torch.device) -> str:
    """Return the GPU's name, or the processor's with torch's number of threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {device.type}, {torch.get_num_threads()} threads"


class _Bench:
    """Builds the measured forward passes."""

    def __init__(self, geometry: Geometry, device: torch.device, batch_size: int) -> None:
        self.geometry, self.device, self.batch_size = geometry, device, batch_size

    def network(self, architecture: Architecture) -> Pass:
        net = self._net(architecture)
        images = self._images(net.geometry)
        return lambda: net(images)

    def stem(self, architecture: Architecture) -> Pass:
        net = self._net(architecture)
        images = self._images(net.geometry)

        def run() -> Tensor:
            tokens = net.norm(net.embed(images, architecture))
            return net.classify(tokens, architecture, net.statistics(images))

        return run

    def layers(self, stack: Architecture) -> Pass:
        net = self._net(stack)
        tokens = torch.randn(self.batch_size, net.geometry.tokens, stack.embed_dim, device=self.device)
        blocks, grid = list(zip(net.blocks, stack.layers, strict=True)), net.patch_grid(stack)

        def run() -> Tensor:
            x = tokens
            for block, layer in blocks:
                x = block(x, layer, grid)
            return x

        return run

    def _net(self, architecture: Architecture) -> VisionTransformer:
        return VisionTransformer(self.geometry, architecture).to(self.device).eval()

    def _images(self, g: Geometry) -> Tensor:
        return torch.randn(self.batch_size, *g.input_shape, device=self.device)


def _rounds(passes: Mapping[Key, Pass], repeats: int, device: torch.device) -> dict[Key, list[float]]:
    wait: Pass = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    with torch.inference_mode():
        return rounds(passes, repeats, wait)


def _spread(values: Sequence[float]) -> float:
    """Return the interquartile range relative to the median."""
    if len(values) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(values, n=4)
    return (high - low) / middle


def _at_least_one(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise BudgetError(f"{name} must be at least 1, got {number}", number)
