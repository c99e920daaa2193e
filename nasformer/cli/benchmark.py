"""``nasformer benchmark``: latency, throughput and memory of an exported network."""

from __future__ import annotations

from typing import Annotated

import typer

from nasformer.cli.options import Json
from nasformer.cli.output import console, print_json, print_table
from nasformer.cli.predict import ExportedModel, ModelDevice


def benchmark(
    model: ExportedModel,
    batch_size: Annotated[
        list[int] | None, typer.Option("--batch-size", "-b", min=1, help="Repeatable; default: 1, 8 and 64.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=2, help="Timed passes; median and quartiles are shown.")] = 50,
    device: ModelDevice = "cpu",
    json: Json = False,
) -> None:
    """Measure latency, throughput and memory of an exported network.

    OMP_NUM_THREADS limits the number of threads. Memory is the peak resident host memory of this process:
    network, runtime library and largest batch.

    Examples:
      nasformer benchmark runs/digits-onnx-fp32

      nasformer benchmark model.pt2 -b 1 -b 32 --repeats 200
    """
    from nasformer.export.measure import BATCH_SIZES, latencies, machine, memory
    from nasformer.export.opened import open_model

    opened = open_model(model, device=device)
    rows = latencies({"model": opened}, batch_sizes=batch_size or BATCH_SIZES, repeats=repeats)["model"]
    here, held, described = machine(), memory(), opened.description
    if json:
        known = {"model": str(opened.path), "format": described.format, "dtype": described.dtype, "device": device}
        print_json({**known, "machine": here, "repeats": repeats, "batches": rows, **held})
        return
    examples = described.task.examples
    columns = ("batch", "median ms", "quartiles ms", f"{examples}/s")
    throughput = f"{examples}_per_second"
    table = [
        (r["batch_size"], r["median_ms"], f"{r['low_ms']:.2f} – {r['high_ms']:.2f}", f"{r[throughput]:,.0f}")
        for r in rows
    ]
    print_table(f"{opened.path}, {described.dtype}", columns, table, left=0)
    threads = f"{here['threads']} threads" if here["threads"] else f"{here['cores']} cores"
    where = here["processor"] if device == "cpu" else device
    console.print(f"{where}, {threads}; {repeats} passes; peak memory {held['peak_mib']:,.0f} MiB", soft_wrap=True)
