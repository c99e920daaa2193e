"""``nasformer latency``: measure a latency table of a space on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nasformer._io import make_folder
from nasformer.cli.options import Data, Json, Seed, Space, SupernetPath, file_name, trained_space
from nasformer.cli.output import console, messages, print_json, print_table
from nasformer.errors import BudgetError


def latency(
    space: Space,
    supernet: SupernetPath = None,
    data: Data = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Default: SPACE-latency.json.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images per pass.")] = 1,
    runtime: Annotated[str | None, typer.Option(help="onnxruntime (default), torch or compile.")] = None,
    dtype: Annotated[str, typer.Option(help="fp32, bf16 (torch) or int8 (onnxruntime).")] = "fp32",
    repeats: Annotated[int, typer.Option(min=1, help="Rounds; the median counts.")] = 30,
    max_spread: Annotated[
        float, typer.Option(min=0, help="Blocks of wider relative quartiles are measured again, then refused.")
    ] = 0.5,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
    check: Annotated[int, typer.Option(min=1, help="Whole networks to validate with.")] = 8,
    seed: Seed = 0,
    device: Annotated[str, typer.Option(help="cpu; for torch and compile also cuda, cuda:1, mps.")] = "cpu",
    json: Json = False,
) -> None:
    """Measure the latency of a space's blocks, and validate the table on whole networks.

    They are measured as they are deployed: in onnxruntime, or else in torch,
    with the --threads, --batch-size and --dtype that ship. The table allows
    latency budgets: --latency-table FILE --latency 5 in 'nasformer search',
    'spaces' and 'cost' limits networks to 5 ms.

    Examples:
      nasformer latency autoformer-tiny --threads 2

      nasformer latency digits --out digits.json --repeats 100

      nasformer latency photos --runtime compile --device cuda --batch-size 64 --dtype bf16
    """
    from nasformer.latency import default_runtime, measure_blocks
    from nasformer.training.device import find_device

    declared, where = trained_space(space, supernet, data), find_device(device)
    path = out or Path(file_name(f"{declared.name}-latency.json"))
    if path.is_dir():
        raise BudgetError(f"--out {path} is a folder; give a file", path)
    make_folder(path.parent)
    runtime = runtime or default_runtime(where.type)
    if runtime == "torch" and where.type == "cpu":
        messages.print("measured in torch; exported files usually run in onnxruntime: pip install 'nasformer[onnx]'")
    table, found = measure_blocks(
        declared,
        runtime=runtime,
        threads=threads,
        batch_size=batch_size,
        dtype=dtype,
        device=where,
        repeats=repeats,
        max_spread=max_spread,
        networks=check,
        seed=seed,
    )
    table.save(path)
    if json:
        errors = {"median": found.median_error, "each": found.errors}
        print_json({"out": str(path), "errors": errors, "spread": table.spread, "table": table.to_dict()})
        return
    settings = f"{table.device}, {table.runtime}, {dtype}, batch {batch_size}"
    console.print(f"{settings}, medians of {repeats}", soft_wrap=True)
    pairs = zip(found.networks, found.predicted, found.measured, found.errors, strict=True)
    rows = [
        (f"{a.depth} layers of {a.embed_dim}", f"{p / 1000:.2f}", f"{m / 1000:.2f}", f"{100 * error:+.1f}")
        for a, p, m, error in pairs
    ]
    print_table("", ("network", "predicted ms", "measured ms", "error %"), rows)
    console.print(
        f"median error {100 * found.median_error:.1f} % on {check} held-out networks; "
        f"largest spread of a block {100 * (table.spread or 0):.0f} %. Table: {path}",
        soft_wrap=True,
    )
