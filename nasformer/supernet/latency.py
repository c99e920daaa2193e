"""Latency: the time of blocks and of whole networks on this device.

A layer's time is that of a stack of layers of its size divided by their number, so that their weights come from
where they do in a network and not all from the nearest cache. Blocks are measured in turn, round by round,
so that a drift of the machine hits all alike, and the median of the rounds counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nasformer._provenance import processor
from nasformer._timing import Key, Pass, rounds
from nasformer.architecture import Architecture, uniform
from nasformer.cost import FunctionCost, Geometry, LatencyTable
from nasformer.errors import BudgetError
from nasformer.space import SearchSpace
from nasformer.supernet.model import VisionTransformer

STACK = 4
"""Layers of one size that are measured together."""


@dataclass(frozen=True)
class Prediction:
    """What a table says of networks that it was not made from, and what they took.

    Args:
        networks: The networks.
        predicted: Microseconds by the table.
        measured: Microseconds measured.
    """

    networks: Sequence[Architecture]
    predicted: Sequence[int]
    measured: Sequence[int]

    @property
    def errors(self) -> list[float]:
        """Relative errors, signed: 0.1 where the table says 10 % too much."""
        return [p / m - 1 for p, m in zip(self.predicted, self.measured, strict=True)]

    @property
    def median_error(self) -> float:
        """Median of the errors' sizes."""
        return statistics.median(abs(error) for error in self.errors)


def measure_blocks(
    space: SearchSpace, *, device: str | torch.device = "cpu", batch_size: int = 1, repeats: int = 30
) -> LatencyTable:
    """Measure every stem and layer of a space.

    Args:
        space: The space.
        device: Where; threads are torch's (``torch.set_num_threads``).
        batch_size: Images per pass.
        repeats: Rounds, of which the median counts.

    Raises:
        BudgetError: ``batch_size`` or ``repeats`` is below 1.
    """
    _at_least_one(batch_size=batch_size, repeats=repeats)
    bench = _Bench(space.geometry, torch.device(device), batch_size)
    passes: dict[tuple[int, ...], Pass] = {}
    for embed_dim in space.codec.embed_dim:
        passes[(embed_dim,)] = bench.stem(embed_dim)
        for heads in space.codec.num_heads:
            for hidden in dict.fromkeys(int(embed_dim * ratio) for ratio in space.codec.mlp_ratio):
                passes[embed_dim, heads, hidden] = bench.layers(embed_dim, heads, hidden)
    times = _rounds(passes, repeats, bench.device)
    medians = {block: statistics.median(values) / (1 if len(block) == 1 else STACK) for block, values in times.items()}
    spreads = [_spread(values) for values in times.values()]
    return LatencyTable(
        device=describe_device(bench.device),
        geometry=space.geometry,
        stem={block[0]: round(1e6 * seconds) for block, seconds in medians.items() if len(block) == 1},
        layer={(b[0], b[1], b[2]): round(1e6 * seconds) for b, seconds in medians.items() if len(b) == 3},
        batch_size=batch_size,
        repeats=repeats,
        spread=max(spreads),
    )


def measure_networks(
    geometry: Geometry,
    architectures: Sequence[Architecture],
    *,
    device: str | torch.device = "cpu",
    batch_size: int = 1,
    repeats: int = 30,
) -> list[int]:
    """Return the median microseconds of a pass through each network, with random weights.

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
    """Compare a table with whole networks of its space, drawn at random and measured as its blocks were."""
    drawn = space.sample(networks, seed=seed)
    measured = measure_networks(
        space.geometry, drawn, device=device, batch_size=table.batch_size, repeats=table.repeats
    )
    return Prediction(drawn, [table.predict(architecture) for architecture in drawn], measured)


def measured_cost(space: SearchSpace, *, device: str | torch.device = "cpu", repeats: int = 30) -> FunctionCost:
    """Return ``latency_ms`` as the measured time of whole networks: exact where a table is not, and no sum.

    Sets that it bounds are sampled by rejection, one measurement each.
    """

    def latency_ms(architecture: Architecture) -> float:
        return measure_networks(space.geometry, [architecture], device=device, repeats=repeats)[0] / 1000

    return FunctionCost("latency_ms", latency_ms, f"measured on {describe_device(torch.device(device))}")


def describe_device(device: torch.device) -> str:
    """Return the processor's name, with torch's threads, or the GPU's."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {device.type}, {torch.get_num_threads()} threads"


class _Bench:
    """Builds what is measured, once."""

    def __init__(self, geometry: Geometry, device: torch.device, batch_size: int) -> None:
        self.geometry, self.device, self.batch_size = geometry, device, batch_size

    def network(self, architecture: Architecture) -> Pass:
        net, images = self._net(architecture), self._images()
        return lambda: net(images)

    def stem(self, embed_dim: int) -> Pass:
        net, images = self._net(uniform(embed_dim, 1, 1, 1)), self._images()

        def run() -> Tensor:
            tokens = net.norm(net.patch_embed(images, embed_dim))
            logits: Tensor = net.head(tokens[:, 1:].mean(dim=1), self.geometry.num_classes)
            return logits

        return run

    def layers(self, embed_dim: int, num_heads: int, hidden_dim: int) -> Pass:
        net = self._net(uniform(embed_dim, STACK, num_heads, (hidden_dim + 0.5) / embed_dim))  # rounded down: exact
        tokens = torch.randn(self.batch_size, self.geometry.tokens, embed_dim, device=self.device)

        def run() -> Tensor:
            x = tokens
            for block in net.blocks:
                x = block(x, num_heads, hidden_dim, net.grid)
            return x

        return run

    def _net(self, architecture: Architecture) -> VisionTransformer:
        return VisionTransformer(self.geometry, architecture).to(self.device).eval()

    def _images(self) -> Tensor:
        g = self.geometry
        return torch.randn(self.batch_size, g.in_channels, g.image_size, g.image_size, device=self.device)


def _rounds(passes: Mapping[Key, Pass], repeats: int, device: torch.device) -> dict[Key, list[float]]:
    wait: Pass = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    with torch.inference_mode():
        return rounds(passes, repeats, wait)


def _spread(values: Sequence[float]) -> float:
    """Return the distance of the quartiles as a share of the median."""
    if len(values) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(values, n=4)
    return (high - low) / middle


def _at_least_one(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise BudgetError(f"{name} must be at least 1, got {number}", number)
