"""Latency of whole networks in a runtime, in interleaved rounds, so that drift of the machine affects all equally."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass

import torch

from nasformer._timing import rounds
from nasformer.architecture import Architecture
from nasformer.cost import Geometry
from nasformer.errors import BudgetError
from nasformer.latency.runtimes import Runtime, default_runtime, get_runtime
from nasformer.supernet.model import VisionTransformer


@dataclass(frozen=True)
class Timing:
    """The latency of a network.

    Attributes:
        median_ms: Median over the rounds, in milliseconds.
        spread: Interquartile range over the rounds, relative to the median.
    """

    median_ms: float
    spread: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        """Summarise the seconds of each round."""
        low, median, high = statistics.quantiles(seconds, n=4, method="inclusive") if seconds[1:] else [*seconds] * 3
        return cls(1e3 * median, (high - low) / median)


def measure_deployed(
    networks: Sequence[VisionTransformer | Architecture],
    *,
    geometry: Geometry | None = None,
    runtime: str | None = None,
    threads: int | None = None,
    batch_size: int = 1,
    dtype: str = "fp32",
    device: str | torch.device = "cpu",
    repeats: int = 30,
) -> list[Timing]:
    """Measure whole networks as they are deployed.

    Args:
        networks: Networks, or architectures, which get random weights.
        geometry: The geometry of architectures.
        runtime: One of ``runtime_names()``; None: onnxruntime on the CPU where it is installed, else torch.
        threads: CPU threads; None: torch's.
        batch_size: Inputs per pass.
        dtype: "fp32", "bf16" in torch, "int8" in onnxruntime.
        device: Device of torch runtimes.
        repeats: Number of rounds.

    Raises:
        BudgetError: ``batch_size`` or ``repeats`` is below 1, or the runtime is unknown or lacks the dtype or device.
        ExportError: A module of the runtime is not installed.

    >>> from nasformer.architecture import uniform
    >>> geometry = Geometry(image_size=8, patch_size=2, in_channels=1, num_classes=10, head_dim=16)
    >>> (timing,) = measure_deployed([uniform(32, 2, 2, 2)], geometry=geometry, runtime="torch", repeats=2)
    >>> timing.median_ms > 0
    True
    """
    engine = make_runtime(runtime, threads, dtype, device)
    return measure_in(engine, networks, geometry, batch_size, repeats)


def make_runtime(name: str | None, threads: int | None, dtype: str, device: str | torch.device) -> Runtime:
    """Return a runtime with its settings; the defaults are those of ``measure_deployed``."""
    place = torch.device(device)
    return get_runtime(name or default_runtime(place.type))(threads or torch.get_num_threads(), dtype, place)


def measure_in(
    engine: Runtime,
    networks: Sequence[VisionTransformer | Architecture],
    geometry: Geometry | None,
    batch_size: int,
    repeats: int,
    attempts: int = 1,
    max_spread: float = math.inf,
) -> list[Timing]:
    """Measure whole networks in a runtime; those of a wider spread again, up to a number of attempts."""
    for name, number in {"batch_size": batch_size, "repeats": repeats, "threads": engine.threads}.items():
        if number < 1:
            raise BudgetError(f"{name} must be at least 1, got {number}", number)
    nets = [_network(each, geometry).eval() for each in networks]
    with _threads(engine.threads), torch.inference_mode():
        passes, found = dict(enumerate(engine.passes(nets, batch_size))), dict[int, Timing]()
        for _ in range(attempts):
            wide = [index for index in passes if index not in found or found[index].spread > max_spread]
            times = rounds({index: passes[index] for index in wide}, repeats, engine.wait)
            found |= {index: Timing.of(seconds) for index, seconds in times.items()}
    return [found[index] for index in passes]


def _network(network: VisionTransformer | Architecture, geometry: Geometry | None) -> VisionTransformer:
    if isinstance(network, VisionTransformer):
        return deepcopy(network)  # runtimes move it
    if geometry is None:
        raise BudgetError("an architecture needs the geometry of its space: geometry=space.geometry", network)
    return VisionTransformer(geometry, network)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
