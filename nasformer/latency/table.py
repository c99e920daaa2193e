"""Latency tables: the blocks of a space, measured in whole networks.

The stem is a network of a skipped layer. A branch's latency is what a stack of layers with this branch alone adds to
it, divided by their number, so that calls of the runtime count once and weights are not unrealistically cached. A
layer's latency is the sum of its branches'.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch

from nasformer.architecture import Architecture, uniform
from nasformer.cost import FunctionCost, LatencyTable
from nasformer.dimension import BASIC
from nasformer.errors import BudgetError
from nasformer.latency.measure import make_runtime, measure_in
from nasformer.space import SearchSpace

STACK = 4
"""Layers per measured stack."""

SPREAD = 0.5
"""The widest spread: of 30 rounds, the median of such a block is still within some 10 %."""

ATTEMPTS = 3
"""Measurements of a block before a wider spread is refused."""

Sizes = tuple[float, ...]


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
    space: SearchSpace,
    *,
    runtime: str | None = None,
    threads: int | None = None,
    batch_size: int = 1,
    dtype: str = "fp32",
    device: str | torch.device = "cpu",
    repeats: int = 30,
    max_spread: float = SPREAD,
    networks: int = 0,
    seed: int = 0,
) -> tuple[LatencyTable, Prediction]:
    """Measure all stems and layers of a space, and in the same rounds random whole networks to compare them with.

    Args:
        space: The space.
        runtime: As of ``measure_deployed``, like the arguments up to ``repeats``.
        threads: CPU threads.
        batch_size: Images per forward pass.
        dtype: Compute precision.
        device: Device of torch runtimes.
        repeats: Number of rounds.
        max_spread: Blocks of a wider spread are measured again, then refused.
        networks: Number of whole networks.
        seed: Random seed of these networks.

    Raises:
        BudgetError: As of ``measure_deployed``, or a spread is too wide.
        ExportError: As of ``measure_deployed``.
    """
    stems = {(stem.embed_dim, *(value for _, value in stem.network)): stem for stem in _stems(space)}
    stacks = [(key, stack) for key, stem in stems.items() for stack in _stacks(space, stem)]
    blocks: dict[tuple[Sizes, Sizes], Architecture] = {(key, ()): stem for key, stem in stems.items()}
    blocks |= {(key, _sizes(branch)): branch for key, stack in stacks for branch in _branches(stack)}
    engine = make_runtime(runtime, threads, dtype, device)
    drawn = space.sample(networks, seed=seed)
    everything = [*blocks.values(), *drawn]
    timings = measure_in(engine, everything, space.geometry, batch_size, repeats, ATTEMPTS, max_spread)
    found = dict(zip(blocks, timings, strict=False))
    if (spread := max(timing.spread for timing in found.values())) > max_spread:
        raise BudgetError(
            f"latencies of a block spread by {spread:.0%} in {ATTEMPTS} measurements, more than {max_spread:.0%}: end "
            f"other programs and measure again, or accept it (--max-spread {math.ceil(100 * spread) / 100})",
            spread,
        )
    micros = {block: 1e3 * timing.median_ms for block, timing in found.items()}
    added = {(key, sizes): max(0.0, (time - micros[key, ()]) / STACK) for (key, sizes), time in micros.items()}
    further = space.dimensions[len(BASIC) :]
    network = tuple(dimension.name for dimension in further if dimension.scope == "network")
    table = LatencyTable(
        device=engine.describe(),
        geometry=space.geometry,
        stem={key if network else key[0]: round(micros[key, ()]) for key in stems},
        layer={
            (*key, *_sizes(stack)): round(sum(added[key, _sizes(branch)] for branch in _branches(stack)))
            for key, stack in stacks
        },
        batch_size=batch_size,
        repeats=repeats,
        spread=spread,
        network=network,
        layers=tuple(dimension.name for dimension in further if dimension.scope == "layer"),
        runtime=engine.name,
        threads=engine.threads,
        dtype=dtype,
    )
    measured = [round(1e3 * timing.median_ms) for timing in timings[len(blocks) :]]
    return table, Prediction(drawn, [table.predict(architecture) for architecture in drawn], measured)


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


def _branches(stack: Architecture) -> list[Architecture]:
    """Return the stacks of each branch alone."""
    alone = [stack.replace(**{other: (0,) * STACK}) for other in ("mlp_ratio", "num_heads")]
    return [each for each in alone if any(each.num_heads) or any(each.mlp_ratio)]


def _sizes(stack: Architecture) -> Sizes:
    """Return the sizes of a stack's layers."""
    layer = stack.layers[0]
    return layer.num_heads, layer.hidden_dim, *(value for _, value in layer.further)


def measured_cost(
    space: SearchSpace,
    *,
    runtime: str | None = None,
    device: str | torch.device = "cpu",
    repeats: int = 30,
) -> FunctionCost:
    """Return ``latency_ms`` as a black-box cost that measures whole networks, unlike an additive table.

    Sets that it bounds are sampled by rejection, at one measurement per candidate.
    """
    engine = make_runtime(runtime, None, "fp32", device)

    def latency_ms(architecture: Architecture) -> float:
        return measure_in(engine, [architecture], space.geometry, 1, repeats)[0].median_ms

    return FunctionCost("latency_ms", latency_ms, f"measured on {engine.describe()}, {engine.name}")
