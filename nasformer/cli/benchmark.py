"""``nasformer benchmark``: how fast an exported model is here."""

from __future__ import annotations

from typing import Annotated

import typer

from nasformer.cli.options import Json
from nasformer.cli.output import console, print_json, print_table
from nasformer.cli.predict import Model


def benchmark(
    model: Model,
    batch_size: Annotated[
        list[int] | None, typer.Option(min=1, help="Several times for several. Default: 1, 8, 64.", show_default=False)
    ] = None,
    repeats: Annotated[int, typer.Option(min=2, help="Rounds, of which the median counts.")] = 50,
    threads: Annotated[int | None, typer.Option(min=1, help="Of the CPU.", show_default=False)] = None,
    json: Json = False,
) -> None:
    """Measure latency and throughput of a model on this machine.

    Examples:
      nasformer benchmark exports/digits-onnx

      nasformer benchmark exports/digits-onnx --threads 1 --batch-size 1 --batch-size 256
    """
    from nasformer.export.measure import here, speed
    from nasformer.export.opened import open_model
    from nasformer.training.device import use_threads

    if threads is not None:
        use_threads(threads)
    opened = open_model(model)
    g = opened.description["geometry"]
    shape = (g["in_channels"], g["image_size"], g["image_size"])
    rows = [
        {"batch_size": size, **speed((opened.run,), shape, size, repeats=repeats)[0]}
        for size in batch_size or (1, 8, 64)
    ]
    size = opened.path.stat().st_size
    if json:
        print_json({"model": str(opened.path), "bytes": size, "repeats": repeats, **here(), "rows": rows})
        return
    where = here()
    told = opened.description
    console.print(
        f"{opened.path}: {told['params']:,} parameters, {told['macs']:,} MACs, {size / 1e6:.2f} MB, {told['dtype']}\n"
        f"{where['device']}, {where['threads']} threads, medians of {repeats}",
        markup=False,
        soft_wrap=True,
    )
    table = [(f"{r['batch_size']}", r["ms"], f"{r['low']:.2f}–{r['high']:.2f}", r["images_per_second"]) for r in rows]
    print_table("", ("batch", "ms", "quartiles", "images a second"), table)
