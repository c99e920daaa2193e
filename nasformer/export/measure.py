"""Latency, throughput and memory of exported networks on this machine."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from nasformer._provenance import machine as computer
from nasformer._timing import Pass, rounds
from nasformer.errors import ExportError
from nasformer.export.formats import get_format
from nasformer.export.opened import Model

BATCH_SIZES = (1, 8, 64)


def latencies(
    models: Mapping[str, Model], *, batch_sizes: Sequence[int] = BATCH_SIZES, repeats: int = 30
) -> dict[str, list[dict[str, Any]]]:
    """Return latencies of models by batch size, measured in interleaved rounds, so that drift affects all equally.

    Args:
        models: The models by name.
        batch_sizes: Batch sizes.
        repeats: Rounds; median and quartiles are reported.

    Returns:
        For each model one row per batch size: ``batch_size``, ``median_ms``, ``low_ms`` and ``high_ms`` (quartiles) and
        ``images_per_second`` (or ``windows_per_second``, by the task's example) from the median.

    Raises:
        ExportError: ``repeats`` is below 2, or a batch size below 1.
    """
    if repeats < 2 or min(batch_sizes) < 1:
        raise ExportError(
            f"batch sizes must be at least 1 and repeats at least 2, got {[*batch_sizes]} and {repeats}", repeats
        )
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in models}
    for batch_size in batch_sizes:
        times = rounds({name: _pass(model, batch_size) for name, model in models.items()}, repeats)
        for name, seconds in times.items():
            row = {"batch_size": batch_size, **_summary(seconds)}
            throughput = f"{models[name].description.task.examples}_per_second"
            rows[name].append({**row, throughput: 1e3 * batch_size / row["median_ms"]})
    return rows


def ratios(model: Sequence[Mapping[str, Any]], plain: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Return the speed-up of a model over its fp32 reference, by batch size."""
    return [
        {"batch_size": one["batch_size"], "speed": other["median_ms"] / one["median_ms"]}
        for one, other in zip(model, plain, strict=True)
    ]


def machine() -> dict[str, Any]:
    """Return a description of this computer, and OMP_NUM_THREADS if set."""
    threads = os.environ.get("OMP_NUM_THREADS")
    return {**computer(), "threads": int(threads) if threads else None}


def memory() -> dict[str, float]:
    """Return the peak resident memory of this process so far, in MiB."""
    import resource
    import sys

    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kibibytes elsewhere
    return {"peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20}


def _pass(model: Model, batch_size: int) -> Pass:
    inputs = get_format(model.description.format).example(model.description, batch_size)
    return lambda: model.run(inputs)


def _summary(seconds: Sequence[float]) -> dict[str, float]:
    low, median, high = (1e3 * value for value in statistics.quantiles(seconds, n=4, method="inclusive"))
    return {"median_ms": median, "low_ms": low, "high_ms": high}
