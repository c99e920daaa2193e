"""``nasformer export``: export a network to other formats, verified."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasformer.cli.options import Data, Json, OfSpace, Repair, Root, StudyName, SupernetPath, run_folder
from nasformer.cli.output import console, print_json, print_table
from nasformer.cli.source import read_source

if TYPE_CHECKING:
    from nasformer.export.exporter import Exported
    from nasformer.tasks import Metric


def export(
    target: Annotated[
        str,
        typer.Argument(metavar="MODEL|RUN|STUDY|SPACE|ARCH", help="Result of finetune, retrain or search, or a space."),
    ],
    architecture: OfSpace = None,
    format: Annotated[str, typer.Option(help="safetensors, timm, onnx, onnx-pixels or torch-export.")] = "safetensors",
    dtype: Annotated[str, typer.Option(help="fp32, bf16 (torch) or int8 (ONNX).")] = "fp32",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Default: runs/NAME-FORMAT-DTYPE.")] = None,
    name: Annotated[str | None, typer.Option(help="Network name; default: its folder's.")] = None,
    supernet: SupernetPath = None,
    study: StudyName = None,
    data: Data = None,
    root: Root = None,
    repair: Repair = None,
    licence: Annotated[str | None, typer.Option(help="Of the weights, e.g. apache-2.0; for the model card.")] = None,
    tolerance: Annotated[float | None, typer.Option(min=0, help="Maximal accepted output difference.")] = None,
    push: Annotated[str | None, typer.Option(metavar="USER/NAME", help="Upload to a private hub repository.")] = None,
    json: Json = False,
) -> None:
    """Export a network to another format, and verify the export.

    A fresh process loads the export and compares its outputs on test examples;
    the folder is created only if they agree. Beside the weights are
    nasformer.json (input, task, sizes, provenance, measurements) and a
    model card.

    Examples:
      nasformer export runs/digits-finetune --format onnx

      nasformer export runs/digits-tpe-seed0 --format onnx --dtype int8

      nasformer export runs/digits-finetune --format onnx-pixels

      nasformer export digits.log --study mine --format torch-export

      nasformer export digits smallest --format timm --out deit-like
    """
    from nasformer.export.exporter import export as write
    from nasformer.export.formats import require_format

    require_format(format, dtype)
    source = read_source(target, architecture, supernet, study, data)
    dataset = source.dataset(data, root)
    folder = out or run_folder(f"{source.name}-{format}-{dtype}")
    repaired = source.repaired(dataset, repair)
    if repaired is not None and not json:
        console.print(str(repaired), soft_wrap=True)
    provenance = {**source.provenance, **({"licence": licence} if licence else {})}
    provenance |= {} if repaired is None else {"repair": repaired.to_dict()}
    done = write(
        source.net if repaired is None else repaired.net,
        dataset,
        folder,
        format=format,
        dtype=dtype,
        name=name or source.name,
        provenance=provenance,
        tolerance=tolerance,
    )
    if push is not None:
        from nasformer.export.hub import push as upload

        upload(folder, push)
    if json:
        print_json({"folder": str(folder), **done.record})
    else:
        _show(done)


def _show(done: Exported) -> None:
    from nasformer.tasks import task_of

    record = done.record
    seen, test, task = record["verification"], record["test"], task_of(record)
    examples, main = task.examples, task.metrics[0]
    lines = [
        f"{record['network']['params']:,} parameters, {record['network']['macs']:,} MACs, {record['bytes']:,} bytes",
        f"verified in a fresh process: largest difference {seen['largest_difference']:.2g} of outputs up to "
        f"{seen['largest_output']:.3g}, on {seen['images']} {examples}",
        f"{main.title} {_text(main, test)} on {test[examples]:,} test {examples} of "
        f"{record['provenance']['data']['name']}",
    ]
    for line in lines:
        console.print(line, soft_wrap=True)
    if "against_fp32" in record:
        _compare(record["dtype"], record["against_fp32"], test, main)
    file = "IMAGE" if record["preprocessing"] else "SERIES.csv"
    console.print(f"{done.folder / record['file']}   next: nasformer predict {done.folder} {file}", soft_wrap=True)


def _text(metric: Metric, test: dict[str, Any]) -> str:
    return "–" if test[metric.name] is None else metric.text(test[metric.name])


def _compare(dtype: str, against: dict[str, Any], test: dict[str, Any], main: Metric) -> None:
    ratio = against[f"{main.name}_ratio"]
    rows: list[tuple[str, object]] = [
        (main.title, _text(main, test)),
        (f"{main.title} in fp32", _text(main, against["test"])),
        (f"{main.title}, ratio", "–" if ratio is None else f"{ratio:.4f}"),
        ("times smaller", against["times_smaller"]),
        *((f"times as fast, batch {row['batch_size']}", row["speed"]) for row in against["times_as_fast"]),
    ]
    print_table("", ("", f"{dtype} against fp32"), rows)
